// What the editor does with an extension: activate it, run its command, deactivate it.
const vscode = require("vscode");

async function main(path) {
  const extension = require(path);
  const context = { subscriptions: [], secrets: { get: async () => process.env.ACCESS_TOKEN } };
  extension.activate(context);
  await vscode.commands.executeCommand("appserver.ask");
  await vscode.commands.executeCommand("appserver.ask");
  await extension.deactivate();
  for (const one of context.subscriptions) one.dispose();
}

void main(require("node:path").resolve(process.argv[2]));
