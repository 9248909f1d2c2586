/** What is said of a job that is not over. */
import type { Job, Sending } from "../state/jobs";
import { duration } from "./words";

export interface Said {
  readonly phase: string;
  /** Empty when nothing is known. */
  readonly detail: string;
}

export function said(job: Job, sending: Sending): Said {
  if (sending === "waiting") return { phase: "Waiting for the connection", detail: "" };
  if (sending === "sending") return { phase: "Sending", detail: "" };
  const { phase, step, totalSteps, etaSeconds, basis } = job.progress;
  const about = basis === "ESTIMATED" ? "about " : "";
  const left = etaSeconds === null ? "" : `${about}${duration(etaSeconds)} left`;
  switch (phase) {
    case "WAITING":
      return { phase: queued(job.queuePosition), detail: left };
    case "STARTING":
      return { phase: "Starting an instance", detail: left || "this takes minutes" };
    case "GENERATING":
      return { phase: basis === "MEASURED" ? `Step ${step} of ${totalSteps}` : "Drawing", detail: left };
    case "STORING":
      return { phase: "Storing", detail: "" };
    case "DONE":
      return { phase: "Done", detail: "" };
  }
}

function queued(position: number | null): string {
  if (position === null) return "Waiting";
  return position === 0 ? "Next in the queue" : `${position} ahead in the queue`;
}
