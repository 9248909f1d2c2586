/** Drawn for this page. They say nothing to screen readers: what holds them has a name. */
import type { ComponentChildren } from "preact";

function Icon({ children }: { children: ComponentChildren }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      {children}
    </svg>
  );
}

export const Dice = () => (
  <Icon>
    <rect x="2" y="2" width="12" height="12" rx="2.5" />
    <path d="M5.5 5.5h.01M10.5 5.5h.01M8 8h.01M5.5 10.5h.01M10.5 10.5h.01" class="dots" />
  </Icon>
);

export const Lock = ({ isOpen }: { isOpen: boolean }) => (
  <Icon>
    <rect x="3" y="7" width="10" height="7" rx="1.5" />
    <path d={isOpen ? "M5 7V5a3 3 0 0 1 5.8-1" : "M5 7V5a3 3 0 0 1 6 0v2"} />
  </Icon>
);

export const Cross = () => (
  <Icon>
    <path d="M4 4l8 8M12 4l-8 8" />
  </Icon>
);

export const Arrow = ({ isBack }: { isBack: boolean }) => (
  <Icon>
    <path d={isBack ? "M10 3L5 8l5 5" : "M6 3l5 5-5 5"} />
  </Icon>
);

export const Search = () => (
  <Icon>
    <circle cx="7" cy="7" r="4.5" />
    <path d="M10.5 10.5L14 14" />
  </Icon>
);
