import { render } from "preact";
import { StudioProvider } from "./parts/context";
import { Page } from "./parts/page";
import { Studio } from "./state/studio";
import "./looks/tokens.css";
import "./looks/page.css";
import "./looks/controls.css";
import "./looks/composer.css";
import "./looks/gallery.css";
import "./looks/full_view.css";
import "./looks/notices.css";

const studio = new Studio(new URL("/graphql", location.href));
studio.start();
render(
  <StudioProvider value={studio}>
    <Page />
  </StudioProvider>,
  document.getElementById("studio") as HTMLElement,
);
