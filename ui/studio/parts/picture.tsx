/** A picture, with its BlurHash behind it until it is there. */
import { decode } from "blurhash";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Job } from "../state/jobs";

type Image = Job["images"][number];

const THUMBNAIL_SIDE = 256;
const HASH_SIDE = 24;

interface Props {
  readonly image: Image;
  readonly alt: string;
  /** How wide it is drawn, in CSS pixels. */
  readonly width: number;
}

export function Picture({ image, alt, width }: Props) {
  const [isThere, setThere] = useState(false);
  const thumbnailWidth = Math.round(THUMBNAIL_SIDE * Math.min(1, image.width / image.height));
  return (
    <span class="picture" data-there={isThere}>
      {!isThere && <BlurHash hash={image.blurHash} />}
      <img
        src={image.url}
        srcset={`${image.thumbnailUrl} ${thumbnailWidth}w, ${image.url} ${image.width}w`}
        sizes={`${Math.ceil(width)}px`}
        width={image.width}
        height={image.height}
        alt={alt}
        decoding="async"
        onLoad={() => setThere(true)}
      />
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
