/** The unfinished picture, which grows sharper. The one before stays until the next is there; one that is gone by then,
 * as the last may be, changes nothing. */
import { useEffect, useState } from "preact/hooks";

interface Props {
  readonly url: string;
  /** How much of the work is left, 0 to 1. */
  readonly left: number;
}

export function Preview({ url, left }: Props) {
  const [shown, setShown] = useState<string | null>(null);
  const [loading, setLoading] = useState(url);
  const [settled, setSettled] = useState<string | null>(null);
  useEffect(() => {
    // One after the other: where the network is slow, each would be dropped for the next.
    if (settled === loading && url !== loading) setLoading(url);
  }, [url, loading, settled]);
  const settle = (isThere: boolean) => {
    if (isThere) setShown(loading);
    setSettled(loading);
  };
  const urls = shown === null || shown === loading ? [loading] : [shown, loading];
  return (
    <>
      {urls.map((each) => (
        <img
          key={each}
          class="preview"
          data-there={each === shown}
          src={each}
          alt=""
          style={{ "--left": `${left}` }}
          onLoad={() => each === loading && settle(true)}
          onError={() => each === loading && settle(false)}
        />
      ))}
    </>
  );
}
