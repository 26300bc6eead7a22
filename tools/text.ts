/** Texts as the model reads them. */

/** A file name as it may stand on a line of its own. */
export const onOneLine = (name: string): string =>
  /[\u0000-\u001f\u007f]/.test(name) ? JSON.stringify(name) : name
