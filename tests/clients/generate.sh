#!/usr/bin/env bash
# Generates an image and follows the job to its end, whatever happens to the connection in between. Prints its events.
#
#   bash generate.sh http://127.0.0.1:8000/graphql generate '{"prompt": "a lighthouse"}'
#   bash generate.sh http://127.0.0.1:8000/graphql follow <ID of the job>
#
# TEXT2IMAGE_TOKEN_FILE names a file with the token, where the server wants one. Needs curl, and python3 for JSON.
set -euo pipefail
url=$1 action=$2 argument=$3

GENERATE='mutation ($input: GenerateImageInput!) {
  generateImage(input: $input) { job { id } errors { __typename ... on UserError { message path } } } }'
FOLLOW='subscription ($id: ID!, $after: String) {
  jobUpdated(id: $id, after: $after) {
    kind cursor job { status progress { fraction } images { url } failure { message } } } }'

# Evaluate an expression of Python in which `a` are the arguments that follow it.
json() { python3 -c 'import json, sys, uuid; a = sys.argv[2:]; print(eval(sys.argv[1]))' "$@"; }

# POST a body. The token is read each time: whoever renews it writes a new one.
post() {
  local headers=(-H 'Content-Type: application/json') body=$1
  shift
  if [ -n "${TEXT2IMAGE_TOKEN_FILE:-}" ]; then
    headers+=(-H "Authorization: Bearer $(cat "$TEXT2IMAGE_TOKEN_FILE")")
  fi
  curl -sS "$url" "${headers[@]}" -d "$body" "$@"
}

# Queue a job; its ID. The key makes it safe that curl sends the request again when its answer was lost.
generate() {
  local body answer
  body=$(json 'json.dumps({"query": a[0], "variables":
    {"input": {"idempotencyKey": str(uuid.uuid4()), **json.loads(a[1])}}})' "$GENERATE" "$1")
  answer=$(post "$body" --retry 8 --retry-connrefused)
  json 'json.loads(a[0])["data"]["generateImage"]["job"]["id"]' "$answer" 2> /dev/null || {
    echo "$answer" >&2
    return 1
  }
}

# Every event of a job. A new stream takes the place of one that was cut, from the last event on.
follow() {
  local cursor='' body line status attempt=0 is_refused=''
  while true; do
    status=000
    body=$(json 'json.dumps({"query": a[0], "variables": {"id": a[1], "after": a[2] or None}})' "$FOLLOW" "$1" "$cursor")
    while IFS= read -r line; do
      line=${line%$'\r'}
      case $line in
        'data: {'*'"errors":['*) echo "$line" >&2; return 1 ;;
        'data: {'*)
          line=${line#'data: {"data":{"jobUpdated":'}
          echo "${line%'}}'}"
          [[ $line =~ '"cursor":"'([^\"]*) ]] && cursor=${BASH_REMATCH[1]}
          attempt=0 is_refused='' ;;
        'event: complete') return ;;
        'status: '*) status=${line#status: } ;;
      esac
    done < <(post "$body" -N -H 'Accept: text/event-stream' -w '\nstatus: %{http_code}\n' 2> /dev/null)
    # A stream that was cut has the status 200; where there was no answer it is 000.
    case $status$is_refused in
      000 | 200 | 401 | 408 | 425 | 429 | 5??) ;;
      *) echo "The server answers with status $status." >&2; return 1 ;;
    esac
    if [ "$status" = 401 ]; then is_refused=again; fi
    # Longer each time, up to half a minute; half of it is chance.
    sleep "$(json 'min(30, 0.5 * 2 ** int(a[0])) * (0.5 + uuid.uuid4().int % 1000 / 2000)' "$attempt")"
    attempt=$((attempt + 1))
  done
}

if [ "$action" = generate ]; then
  argument=$(generate "$argument")
fi
follow "$argument"
