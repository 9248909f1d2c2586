/** A picture, with its BlurHash behind it until it is there. */
import { decode } from "blurhash";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Job } from "../state/jobs";
import { useStudio } from "./context";

type Image = Job["images"][number];

const THUMBNAIL_SIDE = 256;
const HASH_SIDE = 24;
const MUCH_LARGER = 1.3;

interface Props {
  readonly jobId: string;
  readonly image: Image;
  readonly alt: string;
  /** How wide it is drawn, in CSS pixels. */
  readonly width: number;
}

export function Picture({ jobId, image, alt, width }: Props) {
  const studio = useStudio();
  const { live, isOnline } = studio;
  const [isThere, setThere] = useState(false);
  const [failed, setFailed] = useState<string | null>(null);
  const hasFailed = failed === image.url;
  const [attempt, setAttempt] = useState(0);
  const isConnected = isOnline.value && live.value.is === "open";
  // A larger file is fetched for a much larger place only: each row that moves would fetch again, and without a network
  // lose what it has.
  const drawnWidth = useRef(width);
  if (isConnected && width > drawnWidth.current * MUCH_LARGER) drawnWidth.current = width;
  useEffect(() => {
    // Once more when the connection is back, and not before: a file that is gone stays gone.
    if (!isConnected || !hasFailed) return;
    setFailed(null);
    setAttempt(attempt + 1);
  }, [isConnected]);
  const thumbnailWidth = Math.round(THUMBNAIL_SIDE * Math.min(1, image.width / image.height));
  return (
    <span class="picture" data-there={isThere}>
      {!isThere && <BlurHash hash={image.blurHash} />}
      <img
        key={attempt}
        src={image.url}
        srcset={`${image.thumbnailUrl} ${thumbnailWidth}w, ${image.url} ${image.width}w`}
        sizes={`${Math.ceil(drawnWidth.current)}px`}
        width={image.width}
        height={image.height}
        alt={alt}
        decoding="async"
        onLoad={() => setThere(true)}
        onError={() => {
          setThere(false);
          setFailed(image.url);
          // Its URL may have ended.
          void studio.renew(jobId);
        }}
      />
      {hasFailed && <span class="lost">This image cannot be loaded.</span>}
    </span>
  );
}

function BlurHash({ hash }: { hash: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useLayoutEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context) return;
    const pixels = context.createImageData(HASH_SIDE, HASH_SIDE);
    pixels.data.set(decode(hash, HASH_SIDE, HASH_SIDE));
    context.putImageData(pixels, 0, 0);
  }, [hash]);
  return <canvas ref={canvas} width={HASH_SIDE} height={HASH_SIDE} aria-hidden="true" />;
}
