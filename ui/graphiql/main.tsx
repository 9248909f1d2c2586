import { explorerPlugin } from "@graphiql/plugin-explorer";
import { HISTORY_PLUGIN } from "@graphiql/plugin-history";
import { GraphiQL } from "graphiql";
import { createRoot } from "react-dom/client";
import { createFetcher } from "./fetcher";
import { Notice } from "./notice";
import { StatusStore } from "./status";
import { storage } from "./storage";
import { TABS } from "./tabs";
import "./workers";
import "graphiql/style.css";
import "@graphiql/plugin-explorer/style.css";
import "./page.css";

const status = new StatusStore();
const fetcher = createFetcher(new URL("/graphql", location.origin), status);
const plugins = [HISTORY_PLUGIN, explorerPlugin()];

createRoot(document.getElementById("page")!).render(
  <GraphiQL
    fetcher={fetcher}
    plugins={plugins}
    storage={storage}
    defaultTabs={TABS}
    defaultEditorToolsVisibility="headers"
    shouldPersistHeaders={false}
  >
    <GraphiQL.Footer>
      <Notice store={status} />
    </GraphiQL.Footer>
  </GraphiQL>,
);
