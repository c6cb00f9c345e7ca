// A Node.js parent: starts a server, gives the model a tool, and prints what it says.
import { AppServer } from "./client.js";
import { accessToken, signIn } from "./tokens.js";

async function main(): Promise<void> {
  const server = await AppServer.start({ clientInfo: { name: "node-example", version: "1.0" } });
  try {
    await signIn(server, accessToken);
    server.answer("item/tool/call", ({ tool, arguments: given }) => ({
      contentItems: [{ type: "inputText", text: `${tool}(${JSON.stringify(given)}) is 21 degrees` }],
      success: true,
    }));
    const weather = {
      name: "weather",
      description: "The weather in a city",
      inputSchema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    };
    const { thread } = await server.request("thread/start", { dynamicTools: [weather] });
    for await (const told of server.turn(thread.id, process.argv[2] ?? "Say hello")) {
      switch (told.method) {
        case "item/agentMessage/delta":
          process.stdout.write(told.params.delta);
          break;
        case "item/completed":
          if (told.params.item.type === "dynamicToolCall") console.log(`[${told.params.item.tool}]`);
          break;
        case "turn/completed":
          console.log(` (${told.params.turn.status})`);
      }
    }
  } finally {
    await server.close();
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
