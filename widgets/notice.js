// Says in words when what stands below has lost its kernel, and what to do about it.
const LOST = "The connection to the kernel is lost. What is shown stays, but nothing here answers.";
const RESTARTED = "The kernel was restarted, and what is shown below went with it. Run this cell again to have it live.";
const ENDED = "The kernel has ended. What is shown below stays; start the kernel and run this cell again to have it live.";

function render({ model, el }) {
  const line = document.createElement("div"), manager = model.widget_manager, kernel = manager.kernel;
  line.className = "wbn-notice";
  line.setAttribute("role", "alert");
  line.hidden = true;
  el.append(line);
  let beacon = null, gone = false;

  function said() {
    if (!kernel) return "";
    if (kernel.isDisposed || kernel.status === "dead" || kernel.status === "terminating") return ENDED;
    if (beacon && beacon.comm_live === false) return RESTARTED;
    return kernel.connectionStatus === "disconnected" ? LOST : "";
  }
  function look() {
    const text = said();
    if (text === line.dataset.said) return;
    line.dataset.said = text;
    line.hidden = !text;
    line.textContent = text;
    if (text !== LOST) return;
    const again = document.createElement("button");
    again.type = "button";
    again.textContent = "Reconnect";
    again.addEventListener("click", () => {
      again.disabled = true;
      kernel.reconnect().catch(() => {}).finally(() => { again.disabled = false; look(); });
    });
    line.append(" ", again);
  }
  const signals = kernel ? [kernel.statusChanged, kernel.connectionStatusChanged, kernel.disposed].filter(Boolean) : [];
  signals.forEach((signal) => signal.connect(look));
  manager.get_model(model.get("beacon")).then((held) => {
    if (gone) return;
    beacon = held;
    beacon.on("comm_live_update", look, line);
    look();
  });
  return () => {
    gone = true;
    signals.forEach((signal) => signal.disconnect(look));
    if (beacon) beacon.off(null, null, line);
  };
}

export default { render };
