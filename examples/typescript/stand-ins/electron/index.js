// Main process and window in one Node.js process. What a window would do is in WINDOW: a script that has `assistant`.
const { EventEmitter } = require("node:events");

const application = new EventEmitter();
const toWindow = new EventEmitter();
const handlers = new Map();
const world = {};

// What passes between the processes is copied, as Electron does: an object that cannot be is an error.
const copied = (args) => structuredClone(args);

exports.app = {
  whenReady: async () => {},
  getVersion: () => "1.0",
  on: (event, listener) => application.on(event, listener),
  quit: () => {
    let prevented = false;
    application.emit("before-quit", { preventDefault: () => (prevented = true) });
    if (!prevented) console.log("quit");
  },
};

exports.ipcMain = { handle: (channel, listener) => handlers.set(channel, listener) };

exports.ipcRenderer = {
  on: (channel, listener) => toWindow.on(channel, listener),
  removeListener: (channel, listener) => toWindow.removeListener(channel, listener),
  invoke: async (channel, ...args) => {
    const sender = { send: (name, ...sent) => toWindow.emit(name, {}, ...copied(sent)) };
    return copied(await handlers.get(channel)({ sender }, ...copied(args)));
  },
};

exports.contextBridge = { exposeInMainWorld: (name, api) => (world[name] = api) };

exports.BrowserWindow = class {
  constructor(options) {
    this.preload = options.webPreferences.preload;
  }

  async loadFile() {
    require(this.preload);
    const AsyncFunction = (async () => {}).constructor;
    await new AsyncFunction("assistant", process.env.WINDOW)(world.assistant);
    exports.app.quit();
  }
};
