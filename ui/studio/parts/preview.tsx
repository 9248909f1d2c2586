/** The unfinished image, which grows sharper. The one before stays below until the next is drawn; one that is gone by
 * then, as the last may be, changes nothing. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Job } from "../state/jobs";

interface Props {
  readonly job: Job;
  /** How much of the work is left, 0 to 1. */
  readonly left: number;
}

/** Nothing until there is one. Not every event of a job brings one: the last that came is kept. */
export function Preview({ job, left }: Props) {
  const latest = useRef<string | null>(null);
  latest.current = job.progress.previewUrl ?? latest.current;
  return latest.current === null ? null : <Sharpening url={latest.current} left={left} />;
}

function Sharpening({ url, left }: { readonly url: string; readonly left: number }) {
  // The last is on top.
  const [shown, setShown] = useState<readonly string[]>([]);
  const [loading, setLoading] = useState(url);
  const [settled, setSettled] = useState<string | null>(null);
  useEffect(() => {
    // One after the other: where the network is slow, each would be dropped for the next.
    if (settled === loading && url !== loading) setLoading(url);
  }, [url, loading, settled]);
  const settle = (isThere: boolean) => {
    if (isThere) setShown([...shown.slice(-1), loading]);
    setSettled(loading);
  };
  const urls = shown.includes(loading) ? shown : [...shown, loading];
  return (
    <>
      {urls.map((each) => (
        <img
          key={each}
          class="preview"
          data-there={shown.includes(each)}
          src={each}
          alt=""
          style={{ "--left": `${left}` }}
          onLoad={({ currentTarget }) =>
            each === loading &&
            void currentTarget.decode().then(
              () => settle(true),
              () => settle(false),
            )
          }
          onError={() => each === loading && settle(false)}
        />
      ))}
    </>
  );
}
