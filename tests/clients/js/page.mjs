// Builds a page, opens it in a DOM as if it came from the server, clicks its button, and prints what it shows until an
// image is there.
//
//   node page.mjs react-apollo.jsx http://127.0.0.1:8000
//
// A line for every change: {"status", "fraction", "image", "alerts"}. Fails where the page writes to console.error.

import { readFileSync } from 'node:fs';
import { build } from 'esbuild';
import { Window } from 'happy-dom';

const [entryPoint, origin] = process.argv.slice(2);
const { outputFiles } = await build({
  entryPoints: [new URL(entryPoint, import.meta.url).pathname],
  bundle: true,
  format: 'esm',
  jsx: 'automatic',
  write: false,
  define: { 'process.env.NODE_ENV': '"development"' },
});

// The DOM is happy-dom's; fetch and WebSocket are Node's, which speak to real servers as a browser does.
const window = new Window({ url: origin });
window.document.body.innerHTML = '<div id="root"></div>';
const { document } = window;
Object.assign(globalThis, { window, document });

const complaints = [];
console.error = (...parts) => complaints.push(parts.join(' '));

// Somebody signs in, and does so again when the token has to be renewed.
const tokenFile = process.env.TEXT2IMAGE_TOKEN_FILE;
const keepSignedIn = () => window.sessionStorage.setItem('token', readFileSync(tokenFile, 'utf8').trim());
if (tokenFile) {
  keepSignedIn();
  setInterval(keepSignedIn, 50);
}

await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`);

/** What the page shows of its newest job. */
function seen() {
  const [article] = document.querySelectorAll('article');
  const status = article?.querySelector('[role=status]').textContent;
  return {
    status,
    fraction: article?.querySelector('progress')?.value,
    image: status === 'SUCCEEDED' ? article.querySelector('img')?.src : undefined,
    alerts: [...document.querySelectorAll('[role=alert]')].map((alert) => alert.textContent),
  };
}

let jobsBefore;
let told;
setInterval(() => {
  if (complaints.length) {
    process.stderr.write(`${complaints.join('\n')}\n`);
    process.exit(1);
  }
  const jobs = document.querySelectorAll('article').length;
  const button = document.querySelector('button');
  if (jobsBefore === undefined && button && !button.disabled) {
    jobsBefore = jobs;
    button.click();
  }
  const now = seen();
  if ((jobs > jobsBefore || now.alerts.length) && JSON.stringify(now) !== told) {
    told = JSON.stringify(now);
    console.log(told);
    if (now.image) process.exit();
  }
}, 10);
