// Generated from protocol/ by `appserver generate-ts`. Do not edit.

export type ReasoningEffortOption = {
  reasoningEffort: string;
  description: string;
};

/** A speed that a model can be asked for: `id` is what `serviceTier` takes. */
export type ServiceTier = {
  id: string;
  name: string;
  description: string;
};

/** The model to use in place of this one. The rest is null: only the vendor has words for it. */
export type UpgradeInfo = {
  model: string;
  upgradeCopy: string | null;
  modelLink: string | null;
  migrationMarkdown: string | null;
  retirementAt: number | null;
};

/**
 * A model. Exactly one in the list is the default.
 *
 * additionalSpeedTiers: the same as serviceTiers, in the words of earlier clients. upgrade: a newer model for the same
 * work.
 */
export type Model = {
  id: string;
  model: string;
  displayName: string;
  description: string;
  hidden: boolean;
  supportedReasoningEfforts: Array<ReasoningEffortOption>;
  defaultReasoningEffort: string;
  inputModalities: Array<string>;
  supportsPersonality: boolean;
  serviceTiers: Array<ServiceTier>;
  defaultServiceTier: string | null;
  additionalSpeedTiers: Array<string>;
  upgrade: string | null;
  upgradeInfo: UpgradeInfo | null;
  isDefault: boolean;
};

/** Page through the models: limit at a time, on from cursor. */
export type ModelListParams = {
  limit?: number | null;
  cursor?: string | null;
  includeHidden?: boolean | null;
};

/** A page of models; nextCursor is null on the last one. */
export type ModelListResult = {
  data: Array<Model>;
  nextCursor: string | null;
};
