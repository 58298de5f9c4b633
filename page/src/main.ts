import "uplot/dist/uPlot.min.css";
import "./app.css";

import { mount } from "svelte";

import App from "./App.svelte";
import { Embedded } from "./embedded";
import { Server } from "./server";
import { Store } from "./store.svelte";

// The token is in a cookie now; in the address it would go along with every link that is copied from here.
if (new URLSearchParams(location.search).has("token")) history.replaceState(null, "", location.pathname + location.hash);

const carried = document.getElementById("run");
const source = carried ? new Embedded(carried.textContent ?? "") : new Server();

mount(App, { target: document.getElementById("app") as HTMLElement, props: { store: new Store(source) } });
