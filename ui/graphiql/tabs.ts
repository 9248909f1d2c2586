/** The tabs of who comes for the first time; a test of the schema reads the same files. */
import cancel from "./tabs/cancel.graphql?raw";
import follow from "./tabs/follow.graphql?raw";
import generate from "./tabs/generate.graphql?raw";
import history from "./tabs/history.graphql?raw";
import oneShot from "./tabs/one_shot.graphql?raw";

export const TABS = [
  { query: generate },
  { query: follow },
  { query: oneShot },
  { query: history },
  { query: cancel, variables: '{ "id": "" }' },
];
