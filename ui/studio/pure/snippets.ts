/** A job as what would make it again: for GraphiQL, for a shell, for Python. */
import type { GenerateImageInput } from "../api/operations";

const MUTATION = `mutation Generate($input: GenerateImageInput!) {
  generateImage(input: $input) {
    job { id status }
    errors { __typename ... on UserError { message path } }
  }
}`;

/** The operation with the input written into it. */
export function asGraphQL(input: GenerateImageInput): string {
  return `mutation {
  generateImage(input: ${literal(input, "  ")}) {
    job { id status }
    errors { __typename ... on UserError { message path } }
  }
}
`;
}

/** For a POSIX shell. */
export function asCurl(input: GenerateImageInput, url: string): string {
  const body = JSON.stringify({ query: MUTATION.replaceAll(/\s+/g, " "), variables: { input } });
  return `curl ${quoted(url)} \\
  --header 'Content-Type: application/json' \\
  --header "Authorization: Bearer $TEXT2IMAGE_TOKEN" \\
  --data ${quoted(body)}
`;
}

/** For Python, with its standard library. */
export function asPython(input: GenerateImageInput, url: string): string {
  return `import json
import os
import urllib.request

QUERY = """
${MUTATION}
"""
INPUT = ${python(input, "")}

request = urllib.request.Request(
    ${JSON.stringify(url)},
    data=json.dumps({"query": QUERY, "variables": {"input": INPUT}}).encode(),
    headers={
        "Content-Type": "application/json",
        "Authorization": f"Bearer {os.environ.get('TEXT2IMAGE_TOKEN', '')}",
    },
)
with urllib.request.urlopen(request) as answer:
    print(json.load(answer))
`;
}

const ENUMS = ["format", "aspectRatio"];

function literal(value: unknown, indent: string, name = ""): string {
  if (typeof value === "object" && value !== null) {
    const deeper = `${indent}  `;
    const fields = Object.entries(value).map(([key, each]) => `${deeper}${key}: ${literal(each, deeper, key)}`);
    return `{\n${fields.join("\n")}\n${indent}}`;
  }
  return ENUMS.includes(name) ? String(value) : JSON.stringify(value);
}

function python(value: unknown, indent: string): string {
  if (typeof value === "object" && value !== null) {
    const deeper = `${indent}    `;
    const fields = Object.entries(value).map(
      ([key, each]) => `${deeper}${JSON.stringify(key)}: ${python(each, deeper)},`,
    );
    return `{\n${fields.join("\n")}\n${indent}}`;
  }
  return JSON.stringify(value);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
