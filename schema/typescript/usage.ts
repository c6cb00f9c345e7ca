// Generated from protocol/ by `appserver generate-ts`. Do not edit.
import type { JsonValue } from "./json.js";

/** usedPercent of a window of windowDurationMins minutes that resets at resetsAt (Unix seconds). */
export type RateLimitWindow = {
  usedPercent: number;
  windowDurationMins: number | null;
  resetsAt: number | null;
};

/** Credits beyond the plan; the balance is a decimal in a string. */
export type CreditsSnapshot = {
  hasCredits: boolean;
  unlimited: boolean;
  balance: string | null;
};

/** What a workspace lets one member spend; limit and used are decimals in strings, resetsAt is in Unix seconds. */
export type IndividualLimit = {
  limit: string;
  used: string;
  remainingPercent: number;
  resetsAt: number;
};

/** How much of one of its limits the account has used. spendControlReached: null where the backend does not say. */
export type RateLimitSnapshot = {
  limitId: string | null;
  limitName: string | null;
  primary: RateLimitWindow | null;
  secondary: RateLimitWindow | null;
  credits: CreditsSnapshot | null;
  individualLimit: IndividualLimit | null;
  spendControlReached: boolean | null;
  planType: string | null;
  rateLimitReachedType: string | null;
};

/** A credit that resets the rate limits. Times are Unix seconds. */
export type ResetCredit = {
  id: string;
  resetType: string;
  status: string;
  grantedAt: number;
  expiresAt: number | null;
  title: string | null;
  description: string | null;
};

/** How many such credits there are. credits: some or all of them; null if only their number is known. */
export type ResetCredits = {
  availableCount: number;
  credits: Array<ResetCredit> | null;
};

/** excludeResetCreditDetails: tell only how many reset credits there are. */
export type RateLimitsReadParams = {
  excludeResetCreditDetails?: boolean;
};

/**
 * The account's limits: the main one, and all by their ids.
 *
 * ordinaryUsageAllowed: what the backend says of the plan's usage; null if it does not, or speaks of another account.
 * rateLimitUpsell: the backend's own, as it is.
 */
export type RateLimitsReadResult = {
  rateLimits: RateLimitSnapshot;
  rateLimitsByLimitId: { [key: string]: RateLimitSnapshot };
  rateLimitResetCredits: ResetCredits | null;
  ordinaryUsageAllowed: boolean | null;
  rateLimitUpsell: JsonValue;
  accountId: string | null;
};

/** The limits as the backend's latest answer told them. */
export type RateLimitsUpdatedNotification = {
  rateLimits: RateLimitSnapshot;
};

/** threadId: what this thread has used, in place of the account's totals. */
export type UsageReadParams = {
  threadId?: string | null;
};

/** The account's totals. */
export type UsageSummary = {
  lifetimeTokens: number | null;
  peakDailyTokens: number | null;
  longestRunningTurnSec: number | null;
  currentStreakDays: number | null;
  longestStreakDays: number | null;
};

/** Tokens of a day; startDate is an ISO 8601 date. */
export type DailyUsage = {
  startDate: string;
  tokens: number;
};

/** What a thread has used with one model, effort and speed. Credits and dollars are counted in millionths. */
export type ThreadUsageGroup = {
  model: string | null;
  reasoningEffort: string | null;
  speed: string | null;
  estimatedUsageCreditsMicros: number;
  netNewInputTokens: number | null;
  cachedInputTokens: number | null;
  inputTokens: number | null;
  outputTokens: number | null;
  totalTokens: number | null;
};

/** What the backend estimates that a thread has used, in all and by group. */
export type ThreadUsage = {
  threadId: string;
  estimatedUsageCreditsMicros: number;
  estimatedUsageUsdMicros: number | null;
  groups: Array<ThreadUsageGroup>;
};

/** What has been used: by the account, or by one thread if it was named. The rest is null. */
export type UsageReadResult = {
  summary: UsageSummary;
  dailyUsageBuckets: Array<DailyUsage> | null;
  threadUsage: ThreadUsage | null;
};
