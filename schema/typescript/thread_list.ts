// Generated from protocol/ by `appserver generate-ts`. Do not edit.
import type { Item } from "./item.js";
import type { Thread } from "./thread.js";
import type { ItemsView, Turn } from "./turn.js";

export type SortDirection = "asc" | "desc";

/** Where a thread comes from. All threads here are of source vscode: what the reference makes of its clients. */
export type SourceKind = "cli" | "vscode" | "exec" | "appServer" | "subAgent" | "subAgentReview" | "subAgentCompact" | "subAgentThreadSpawn" | "subAgentOther" | "unknown";

/** Which thread to read, loaded or not. includeTurns: with its whole transcript. */
export type ThreadReadParams = {
  threadId: string;
  includeTurns?: boolean | null;
};

export type ThreadReadResult = {
  thread: Thread;
};

/**
 * Which threads to list: newest first by creation if nothing else is said. Archived ones only if asked for.
 *
 * searchTerm: part of the name or preview, in upper or lower case. recency_at is the same as updated_at. Threads
 * here have neither parent, project nor section: a filter by one of them finds nothing, projectId and sectionId null
 * find all. excludedThreadIds: 100 at most. useStateDbOnly makes no difference.
 */
export type ThreadListParams = {
  cursor?: string | null;
  limit?: number | null;
  sortKey?: "created_at" | "updated_at" | "recency_at" | "section_position" | null;
  sortDirection?: SortDirection | null;
  archived?: boolean | null;
  cwd?: string | Array<string> | null;
  modelProviders?: Array<string> | null;
  searchTerm?: string | null;
  sourceKinds?: Array<SourceKind> | null;
  projectId?: string | null;
  sectionId?: string | null;
  parentThreadId?: string | null;
  ancestorThreadId?: string | null;
  excludedThreadIds?: Array<string> | null;
  originators?: Array<string> | null;
  useStateDbOnly?: boolean;
};

/** A page of threads, without their turns. */
export type ThreadListResult = {
  data: Array<Thread>;
  nextCursor: string | null;
  backwardsCursor: string | null;
};

/** Which page; all of it if no limit is given. */
export type ThreadLoadedListParams = {
  cursor?: string | null;
  limit?: number | null;
};

/** Ids of the threads that are loaded, the oldest first. */
export type ThreadLoadedListResult = {
  data: Array<string>;
  nextCursor: string | null;
};

/** Which turns of a thread: the last ones first, in summary, if nothing else is said. */
export type ThreadTurnsListParams = {
  threadId: string;
  cursor?: string | null;
  limit?: number | null;
  sortDirection?: SortDirection | null;
  itemsView?: ItemsView | null;
};

export type TurnsPage = {
  data: Array<Turn>;
  nextCursor: string | null;
  backwardsCursor: string | null;
};

/** An item of the turn that is named beside it; the page begins behind it, in either direction. */
export type ItemAnchor = {
  type: "item";
  itemId: string;
};

/** Which items of a thread, or of one of its turns: the first ones first if nothing else is said. */
export type ThreadItemsListParams = {
  threadId: string;
  turnId?: string | null;
  cursor?: string | ItemAnchor | null;
  limit?: number | null;
  sortDirection?: SortDirection | null;
};

/** A finished item, and where it belongs; completedAtMs is Unix time in milliseconds. */
export type ThreadItemEntry = {
  item: Item;
  turnId: string;
  completedAtMs: number | null;
};

export type ThreadItemsListResult = {
  data: Array<ThreadItemEntry>;
  nextCursor: string | null;
  backwardsCursor: string | null;
};

/** Which turns to bring with a resumed thread. */
export type InitialTurnsPageParams = {
  limit?: number | null;
  sortDirection?: SortDirection | null;
  itemsView?: ItemsView | null;
};
