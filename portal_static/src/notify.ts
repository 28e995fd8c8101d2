/** Notifications of the browser for a new high-risk study: for readers who work in another window. */

/** Whether the browser knows notifications and has not been asked yet. */
export function canAsk(): boolean {
  return "Notification" in window && Notification.permission === "default";
}

export function allowed(): boolean {
  return "Notification" in window && Notification.permission === "granted";
}

/** The handle and nothing else: a notification is shown on a locked screen too. A click comes back to this page. */
export function notify(title: string): void {
  if (!allowed()) return;
  const shown = new Notification(title, { tag: "readfirst-high-risk", body: "Open the worklist to read it." });
  shown.onclick = () => {
    window.focus();
    shown.close();
  };
}
