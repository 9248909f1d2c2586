/** What is said of a job that is not over. */
import type { Job, Sending } from "../state/jobs";
import { duration } from "./words";

export interface Said {
  readonly phase: string;
  /** The phase, where there is little room. */
  readonly brief: string;
  /** Empty when nothing is known. */
  readonly detail: string;
}

export function said(job: Job, sending: Sending): Said {
  const { phase, brief = phase, detail = "" } = parts(job, sending);
  return { phase, brief, detail };
}

function parts(job: Job, sending: Sending): Partial<Said> & Pick<Said, "phase"> {
  if (sending === "waiting") return { phase: "Waiting for the connection", brief: "Waiting" };
  if (sending === "sending") return { phase: "Sending…" };
  const { phase, step, totalSteps, etaSeconds, basis } = job.progress;
  const about = basis === "ESTIMATED" ? "about " : "";
  // Of the last second nothing is said: it is over before it is read.
  const left = etaSeconds === null || etaSeconds < 1 ? "" : `${about}${duration(etaSeconds)} left`;
  switch (phase) {
    case "WAITING":
      return { ...queued(job.queuePosition), detail: left };
    case "STARTING":
      return { phase: "Starting the model", brief: "Starting", detail: left || "this takes a few minutes" };
    case "GENERATING":
      return basis === "MEASURED"
        ? { phase: `Step ${step} of ${totalSteps}`, brief: `${step}/${totalSteps}`, detail: left }
        : { phase: "Generating", detail: left };
    case "STORING":
      return { phase: "Saving" };
    case "DONE":
      return { phase: "Done" };
  }
}

function queued(position: number | null): Pick<Said, "phase" | "brief"> {
  if (position === null) return { phase: "Waiting", brief: "Waiting" };
  if (position === 0) return { phase: "Next in the queue", brief: "Next" };
  return { phase: `${position} ahead in the queue`, brief: `${position} ahead` };
}
