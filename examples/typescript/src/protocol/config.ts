// Generated from protocol/ by `appserver generate-ts`. Do not edit.
import type { JsonValue } from "./json.js";

/** A place in a text file: line, and column in Unicode characters, both from 1. */
export type TextPosition = {
  line: number;
  column: number;
};

/** A stretch of a text file, both ends included. */
export type TextRange = {
  start: TextPosition;
  end: TextPosition;
};

/** Something in the configuration is not used: why, and where in which file if it is in one. */
export type ConfigWarningNotification = {
  summary: string;
  details: string | null;
  path?: string;
  range?: TextRange;
};

/** config.toml of the home, or the file or table of a profile. */
export type UserSource = {
  type: "user";
  file: string;
  profile: string | null;
};

/** The command line. */
export type SessionFlagsSource = {
  type: "sessionFlags";
};

export type ConfigLayerSource = UserSource | SessionFlagsSource;

/** Where a value comes from. version: changes with the layer. */
export type ConfigLayerMetadata = {
  name: ConfigLayerSource;
  version: string;
};

/** All values of one source, those that may be secret masked. */
export type ConfigLayer = {
  name: ConfigLayerSource;
  version: string;
  config: { [key: string]: JsonValue };
  disabledReason?: string | null;
};

/** What to tell of the configuration. cwd changes nothing: no configuration of projects is read. */
export type ConfigReadParams = {
  includeLayers?: boolean;
  cwd?: string | null;
};

/**
 * The configuration in force, with the keys and values of config.toml, those that may be secret masked.
 *
 * origins: the source of each value, by its key with dots. layers: the strongest first, if they were asked for.
 */
export type ConfigReadResult = {
  config: { [key: string]: JsonValue };
  origins: { [key: string]: ConfigLayerMetadata };
  layers?: Array<ConfigLayer> | null;
};
