// The audit of the GraphQL-over-HTTP specification, from the package graphql-http.
//
//   node http_audit.mjs http://127.0.0.1:8000/graphql
//
// Prints {"audits": how many, "findings": {ID: [status, requirement]}}; findings are all that are not ok.

import { auditServer } from 'graphql-http';

const results = await auditServer({ url: process.argv[2] });
const findings = results.filter(({ status }) => status !== 'ok').map(({ id, status, name }) => [id, [status, name]]);
console.log(JSON.stringify({ audits: results.length, findings: Object.fromEntries(findings) }));
process.exit(); // responses whose bodies the audit did not read would keep it here
