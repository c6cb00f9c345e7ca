// An editor whose user asks QUESTION. What goes to an output channel goes to stdout.
const commands = new Map();

exports.commands = {
  registerCommand: (name, callback) => (commands.set(name, callback), { dispose: () => commands.delete(name) }),
  executeCommand: (name, ...args) => commands.get(name)(...args),
};

exports.window = {
  createOutputChannel: () => ({
    append: (value) => process.stdout.write(value),
    appendLine: (value) => console.log(value),
    show: () => {},
    dispose: () => console.log("disposed"),
  }),
  showInputBox: async () => process.env.QUESTION,
};

exports.workspace = { workspaceFolders: [{ uri: { fsPath: process.cwd() } }] };
