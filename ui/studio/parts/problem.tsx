import { useStudio } from "./context";

/** What the server has said of a field of the form, or of none in particular. */
export function Problem({ field }: { field: string | null }) {
  const message = useStudio().composer.problemAt(field);
  if (message === null) return null;
  return (
    <p class="problem" role="alert" id={`${field ?? "form"}-problem`}>
      {message}
    </p>
  );
}
