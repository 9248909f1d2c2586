/** Links to files. */

/** Where to open a download. What another origin has, such as a CDN, is shown by browsers rather than downloaded: not in
 * place of this page. */
export function windowFor(url: string, page: string): "_self" | "_blank" {
  return new URL(url, page).origin === new URL(page).origin ? "_self" : "_blank";
}
