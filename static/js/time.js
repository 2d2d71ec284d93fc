// Waiting, and how dates and times are written for the reader.

const DATE = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

export const formatDate = (text) => DATE.format(new Date(text));
export const formatTime = (text) => TIME.format(new Date(text));

export const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
