import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Studio } from "../state/studio";

const Context = createContext<Studio | null>(null);

export const StudioProvider = Context.Provider;

/** The Studio that the part is in. Throws where there is none. */
export function useStudio(): Studio {
  const studio = useContext(Context);
  if (studio === null) throw new Error("This part is in no Studio.");
  return studio;
}
