/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
import type { DocumentTypeDecoration } from '@graphql-typed-document-node/core';
/** Width to height. */
export type AspectRatio =
  /** 4:3 */
  | 'LANDSCAPE_4_3'
  /** 16:9 */
  | 'LANDSCAPE_16_9'
  /** 3:4 */
  | 'PORTRAIT_3_4'
  /** 9:16 */
  | 'PORTRAIT_9_16'
  /** 1:1 */
  | 'SQUARE';

/** What a caller may do with jobs of their own. */
export type CallerRole =
  /** Everything. */
  | 'MEMBER'
  /** Look and watch, but change nothing. */
  | 'READER';

/** How a cancellation took effect. */
export type CancelOutcome =
  /** The endpoint cannot be stopped: it finishes, and its result is thrown away. */
  | 'DETACHED'
  /** It had not been sent to the model. */
  | 'NOT_STARTED'
  /** The model was stopped. */
  | 'STOPPED';

/** Exact size. */
export type DimensionsInput = {
  /** Height in pixels. */
  readonly height: number;
  /** Width in pixels. */
  readonly width: number;
};

/** What to generate. */
export type GenerateImageInput = {
  /** How many images. */
  readonly count?: number;
  /** File format. */
  readonly format?: ImageFormat;
  /** How closely to follow the prompt; the model's default when left out. */
  readonly guidanceScale?: number | null | undefined;
  /**
   * Repeating a request with the same key within 24 hours returns the first job
   * instead of a new one; the same key with other input is refused.
   */
  readonly idempotencyKey?: string | null | undefined;
  /** Which model; the server's default when left out. */
  readonly modelId?: string | null | undefined;
  /** What to avoid. */
  readonly negativePrompt?: string | null | undefined;
  /** What to show. */
  readonly prompt: string;
  /** The caller's own reference, handed back with the job; at most 200 characters. */
  readonly reference?: string | null | undefined;
  /** Seed; drawn by the server when left out, and always reported. */
  readonly seed?: number | null | undefined;
  /** Size; the model's default when left out. */
  readonly size?: ImageSizeInput | null | undefined;
  /** Denoising steps; the model's default when left out. */
  readonly steps?: number | null | undefined;
  /** A style whose keywords are added to the prompt. */
  readonly style?: string | null | undefined;
  /** Whom to tell of the job besides its watchers. */
  readonly webhook?: WebhookInput | null | undefined;
};

/** File format of an image. */
export type ImageFormat =
  /** JPEG, quality 90. */
  | 'JPEG'
  /** PNG, lossless, with the parameters in its metadata. */
  | 'PNG'
  /** WebP, lossy. */
  | 'WEBP';

/** Size of an image, in one of these ways. */
export type ImageSizeInput =
  {   /** A ratio at about the model's native pixel count. */
  readonly aspectRatio: AspectRatio; readonly dimensions?: never; }
  |  { readonly aspectRatio?: never;   /** Exact pixels. */
  readonly dimensions: DimensionsInput; };

/** What a job event reports. */
export type JobEventKind =
  /** The job was deleted; `job` is null. */
  | 'DELETED'
  /** Progress moved; intermediate ones may be merged. */
  | 'PROGRESS'
  /** State when the stream opened, or after events were lost. */
  | 'SNAPSHOT'
  /** The status changed; never merged away. */
  | 'STATUS';

/** Why a job failed. */
export type JobFailureCode =
  /** The safety filter withheld the result. */
  | 'CONTENT_BLOCKED'
  /** Unexpected fault, see the server's log. */
  | 'INTERNAL'
  /** The model answered with an error. */
  | 'MODEL_ERROR'
  /** The endpoint does not exist, is not in service, or could not be reached. */
  | 'MODEL_UNAVAILABLE'
  /** The model ran out of memory. */
  | 'OUT_OF_MEMORY'
  /** It ran longer than the server allows. */
  | 'TIMEOUT';

/** Narrows jobs. */
export type JobFilter = {
  /** Accepted at or after this instant. */
  readonly createdAfter?: string | null | undefined;
  /** Accepted before this instant. */
  readonly createdBefore?: string | null | undefined;
  /** On one of these models. */
  readonly modelIds?: ReadonlyArray<string> | null | undefined;
  /** With this text in the prompt; case does not matter. */
  readonly search?: string | null | undefined;
  /** In one of these states. */
  readonly statuses?: ReadonlyArray<JobStatus> | null | undefined;
};

/** What is happening to a job. */
export type JobPhase =
  /** It is over. */
  | 'DONE'
  /** The model is drawing. */
  | 'GENERATING'
  /** The endpoint is starting an instance. */
  | 'STARTING'
  /** The images are being encoded and stored. */
  | 'STORING'
  /** It waits for its turn. */
  | 'WAITING';

/** Lifecycle of a job. SUCCEEDED, FAILED and CANCELED are final. */
export type JobStatus =
  /** The caller canceled it. */
  | 'CANCELED'
  /** It stopped with an error, see `failure`. */
  | 'FAILED'
  /** It waits for a worker. */
  | 'QUEUED'
  /** A worker is on it. */
  | 'RUNNING'
  /** Every image is ready. */
  | 'SUCCEEDED';

/** Whether a model can take a job. */
export type ModelAvailability =
  /** It takes jobs now. */
  | 'READY'
  /** It has no instance; the first job starts one, which takes minutes. */
  | 'SCALED_TO_ZERO'
  /** It is being created or updated. */
  | 'STARTING'
  /** It does not exist, failed, or cannot be reached. */
  | 'UNAVAILABLE';

/** Where the figures of a progress report come from. */
export type ProgressBasis =
  /** From the duration of past jobs on the same model. */
  | 'ESTIMATED'
  /** From the model itself. */
  | 'MEASURED';

/** What a webhook can be told of. */
export type WebhookEvent =
  /** The job was canceled. */
  | 'JOB_CANCELED'
  /** The job stopped with an error. */
  | 'JOB_FAILED'
  /** A worker took the job. */
  | 'JOB_STARTED'
  /** Every image is ready. */
  | 'JOB_SUCCEEDED';

/** Whom to tell of a job besides its watchers, by signed POST requests. */
export type WebhookInput = {
  /** What to tell of; at least one. */
  readonly events?: ReadonlyArray<WebhookEvent>;
  /** Where to send them: https, to a public address. */
  readonly url: string;
};

export type JobPartsFragment = { readonly id: string, readonly status: JobStatus, readonly createdAt: string, readonly queuePosition: number | null, readonly reference: string | null, readonly cost: number | null, readonly cancelOutcome: CancelOutcome | null, readonly model: { readonly id: string, readonly name: string } | null, readonly parameters: { readonly prompt: string, readonly negativePrompt: string | null, readonly renderedPrompt: string, readonly width: number, readonly height: number, readonly steps: number, readonly guidanceScale: number, readonly seed: number, readonly count: number, readonly format: ImageFormat, readonly style: { readonly id: string, readonly name: string } | null }, readonly progress: { readonly phase: JobPhase, readonly fraction: number, readonly step: number, readonly totalSteps: number, readonly etaSeconds: number | null, readonly basis: ProgressBasis, readonly previewUrl: string | null }, readonly images: ReadonlyArray<{ readonly id: string, readonly url: string, readonly thumbnailUrl: string, readonly width: number, readonly height: number, readonly format: ImageFormat, readonly seed: number, readonly sizeBytes: number, readonly blurHash: string }>, readonly withheld: ReadonlyArray<{ readonly index: number, readonly code: JobFailureCode, readonly message: string }>, readonly failure: { readonly code: JobFailureCode, readonly message: string, readonly retryable: boolean } | null, readonly timings: { readonly queueSeconds: number | null, readonly inferenceSeconds: number | null, readonly storeSeconds: number | null, readonly totalSeconds: number | null } };

export type WelcomeQueryVariables = Exact<{ [key: string]: never; }>;


export type WelcomeQuery = { readonly viewer: { readonly id: string, readonly name: string, readonly role: CallerRole }, readonly models: ReadonlyArray<{ readonly id: string, readonly name: string, readonly description: string | null, readonly isDefault: boolean, readonly availability: ModelAvailability, readonly license: string | null, readonly defaults: { readonly width: number, readonly height: number, readonly steps: number, readonly guidanceScale: number }, readonly limits: { readonly maxCount: number, readonly maxDimension: number, readonly maxPromptLength: number, readonly maxSteps: number, readonly sizeMultiple: number } }>, readonly styles: ReadonlyArray<{ readonly id: string, readonly name: string, readonly keywords: string }> };

export type AvailabilityQueryVariables = Exact<{ [key: string]: never; }>;


export type AvailabilityQuery = { readonly models: ReadonlyArray<{ readonly id: string, readonly availability: ModelAvailability }> };

export type JobsQueryVariables = Exact<{
  first: number;
  after?: string | null | undefined;
  filter?: JobFilter | null | undefined;
}>;


export type JobsQuery = { readonly jobs: { readonly totalCount: number, readonly pageInfo: { readonly hasNextPage: boolean, readonly endCursor: string | null }, readonly edges: ReadonlyArray<{ readonly node: { readonly id: string, readonly status: JobStatus, readonly createdAt: string, readonly queuePosition: number | null, readonly reference: string | null, readonly cost: number | null, readonly cancelOutcome: CancelOutcome | null, readonly model: { readonly id: string, readonly name: string } | null, readonly parameters: { readonly prompt: string, readonly negativePrompt: string | null, readonly renderedPrompt: string, readonly width: number, readonly height: number, readonly steps: number, readonly guidanceScale: number, readonly seed: number, readonly count: number, readonly format: ImageFormat, readonly style: { readonly id: string, readonly name: string } | null }, readonly progress: { readonly phase: JobPhase, readonly fraction: number, readonly step: number, readonly totalSteps: number, readonly etaSeconds: number | null, readonly basis: ProgressBasis, readonly previewUrl: string | null }, readonly images: ReadonlyArray<{ readonly id: string, readonly url: string, readonly thumbnailUrl: string, readonly width: number, readonly height: number, readonly format: ImageFormat, readonly seed: number, readonly sizeBytes: number, readonly blurHash: string }>, readonly withheld: ReadonlyArray<{ readonly index: number, readonly code: JobFailureCode, readonly message: string }>, readonly failure: { readonly code: JobFailureCode, readonly message: string, readonly retryable: boolean } | null, readonly timings: { readonly queueSeconds: number | null, readonly inferenceSeconds: number | null, readonly storeSeconds: number | null, readonly totalSeconds: number | null } } }> } };

export type OneJobQueryVariables = Exact<{
  id: string;
}>;


export type OneJobQuery = { readonly job: { readonly id: string, readonly status: JobStatus, readonly createdAt: string, readonly queuePosition: number | null, readonly reference: string | null, readonly cost: number | null, readonly cancelOutcome: CancelOutcome | null, readonly model: { readonly id: string, readonly name: string } | null, readonly parameters: { readonly prompt: string, readonly negativePrompt: string | null, readonly renderedPrompt: string, readonly width: number, readonly height: number, readonly steps: number, readonly guidanceScale: number, readonly seed: number, readonly count: number, readonly format: ImageFormat, readonly style: { readonly id: string, readonly name: string } | null }, readonly progress: { readonly phase: JobPhase, readonly fraction: number, readonly step: number, readonly totalSteps: number, readonly etaSeconds: number | null, readonly basis: ProgressBasis, readonly previewUrl: string | null }, readonly images: ReadonlyArray<{ readonly id: string, readonly url: string, readonly thumbnailUrl: string, readonly width: number, readonly height: number, readonly format: ImageFormat, readonly seed: number, readonly sizeBytes: number, readonly blurHash: string }>, readonly withheld: ReadonlyArray<{ readonly index: number, readonly code: JobFailureCode, readonly message: string }>, readonly failure: { readonly code: JobFailureCode, readonly message: string, readonly retryable: boolean } | null, readonly timings: { readonly queueSeconds: number | null, readonly inferenceSeconds: number | null, readonly storeSeconds: number | null, readonly totalSeconds: number | null } } | null };

export type EstimateQueryVariables = Exact<{
  input: GenerateImageInput;
}>;


export type EstimateQuery = { readonly estimate: { readonly estimate: { readonly seconds: number | null, readonly cost: number | null, readonly jobsAhead: number } | null, readonly errors: ReadonlyArray<
      | { readonly __typename: 'InvalidInputError', readonly message: string, readonly path: ReadonlyArray<string> | null }
      | { readonly __typename: 'ModelNotFoundError', readonly message: string, readonly path: ReadonlyArray<string> | null }
      | { readonly __typename: 'StyleNotFoundError', readonly message: string, readonly path: ReadonlyArray<string> | null }
    > } };

export type GenerateMutationVariables = Exact<{
  input: GenerateImageInput;
}>;


export type GenerateMutation = { readonly generateImage: { readonly job: { readonly id: string, readonly status: JobStatus, readonly createdAt: string, readonly queuePosition: number | null, readonly reference: string | null, readonly cost: number | null, readonly cancelOutcome: CancelOutcome | null, readonly model: { readonly id: string, readonly name: string } | null, readonly parameters: { readonly prompt: string, readonly negativePrompt: string | null, readonly renderedPrompt: string, readonly width: number, readonly height: number, readonly steps: number, readonly guidanceScale: number, readonly seed: number, readonly count: number, readonly format: ImageFormat, readonly style: { readonly id: string, readonly name: string } | null }, readonly progress: { readonly phase: JobPhase, readonly fraction: number, readonly step: number, readonly totalSteps: number, readonly etaSeconds: number | null, readonly basis: ProgressBasis, readonly previewUrl: string | null }, readonly images: ReadonlyArray<{ readonly id: string, readonly url: string, readonly thumbnailUrl: string, readonly width: number, readonly height: number, readonly format: ImageFormat, readonly seed: number, readonly sizeBytes: number, readonly blurHash: string }>, readonly withheld: ReadonlyArray<{ readonly index: number, readonly code: JobFailureCode, readonly message: string }>, readonly failure: { readonly code: JobFailureCode, readonly message: string, readonly retryable: boolean } | null, readonly timings: { readonly queueSeconds: number | null, readonly inferenceSeconds: number | null, readonly storeSeconds: number | null, readonly totalSeconds: number | null } } | null, readonly errors: ReadonlyArray<
      | { readonly __typename: 'BudgetExceededError', readonly message: string, readonly path: ReadonlyArray<string> | null, readonly retryAfterSeconds: number }
      | { readonly __typename: 'IdempotencyConflictError', readonly message: string, readonly path: ReadonlyArray<string> | null }
      | { readonly __typename: 'InvalidInputError', readonly message: string, readonly path: ReadonlyArray<string> | null }
      | { readonly __typename: 'ModelNotFoundError', readonly message: string, readonly path: ReadonlyArray<string> | null }
      | { readonly __typename: 'QueueFullError', readonly message: string, readonly path: ReadonlyArray<string> | null, readonly retryAfterSeconds: number }
      | { readonly __typename: 'RateLimitedError', readonly message: string, readonly path: ReadonlyArray<string> | null, readonly retryAfterSeconds: number }
      | { readonly __typename: 'StyleNotFoundError', readonly message: string, readonly path: ReadonlyArray<string> | null }
    > } };

export type CancelMutationVariables = Exact<{
  id: string;
}>;


export type CancelMutation = { readonly cancelJob: { readonly job: { readonly id: string, readonly status: JobStatus, readonly createdAt: string, readonly queuePosition: number | null, readonly reference: string | null, readonly cost: number | null, readonly cancelOutcome: CancelOutcome | null, readonly model: { readonly id: string, readonly name: string } | null, readonly parameters: { readonly prompt: string, readonly negativePrompt: string | null, readonly renderedPrompt: string, readonly width: number, readonly height: number, readonly steps: number, readonly guidanceScale: number, readonly seed: number, readonly count: number, readonly format: ImageFormat, readonly style: { readonly id: string, readonly name: string } | null }, readonly progress: { readonly phase: JobPhase, readonly fraction: number, readonly step: number, readonly totalSteps: number, readonly etaSeconds: number | null, readonly basis: ProgressBasis, readonly previewUrl: string | null }, readonly images: ReadonlyArray<{ readonly id: string, readonly url: string, readonly thumbnailUrl: string, readonly width: number, readonly height: number, readonly format: ImageFormat, readonly seed: number, readonly sizeBytes: number, readonly blurHash: string }>, readonly withheld: ReadonlyArray<{ readonly index: number, readonly code: JobFailureCode, readonly message: string }>, readonly failure: { readonly code: JobFailureCode, readonly message: string, readonly retryable: boolean } | null, readonly timings: { readonly queueSeconds: number | null, readonly inferenceSeconds: number | null, readonly storeSeconds: number | null, readonly totalSeconds: number | null } } | null, readonly errors: ReadonlyArray<{ readonly __typename: 'JobNotFoundError', readonly message: string, readonly path: ReadonlyArray<string> | null }> } };

export type DeleteMutationVariables = Exact<{
  id: string;
}>;


export type DeleteMutation = { readonly deleteJob: { readonly deletedJobId: string | null, readonly errors: ReadonlyArray<{ readonly __typename: 'JobNotFoundError', readonly message: string, readonly path: ReadonlyArray<string> | null }> } };

export type FollowSubscriptionVariables = Exact<{
  after?: string | null | undefined;
}>;


export type FollowSubscription = { readonly jobsUpdated: { readonly kind: JobEventKind, readonly cursor: string, readonly jobId: string, readonly job: { readonly id: string, readonly status: JobStatus, readonly createdAt: string, readonly queuePosition: number | null, readonly reference: string | null, readonly cost: number | null, readonly cancelOutcome: CancelOutcome | null, readonly model: { readonly id: string, readonly name: string } | null, readonly parameters: { readonly prompt: string, readonly negativePrompt: string | null, readonly renderedPrompt: string, readonly width: number, readonly height: number, readonly steps: number, readonly guidanceScale: number, readonly seed: number, readonly count: number, readonly format: ImageFormat, readonly style: { readonly id: string, readonly name: string } | null }, readonly progress: { readonly phase: JobPhase, readonly fraction: number, readonly step: number, readonly totalSteps: number, readonly etaSeconds: number | null, readonly basis: ProgressBasis, readonly previewUrl: string | null }, readonly images: ReadonlyArray<{ readonly id: string, readonly url: string, readonly thumbnailUrl: string, readonly width: number, readonly height: number, readonly format: ImageFormat, readonly seed: number, readonly sizeBytes: number, readonly blurHash: string }>, readonly withheld: ReadonlyArray<{ readonly index: number, readonly code: JobFailureCode, readonly message: string }>, readonly failure: { readonly code: JobFailureCode, readonly message: string, readonly retryable: boolean } | null, readonly timings: { readonly queueSeconds: number | null, readonly inferenceSeconds: number | null, readonly storeSeconds: number | null, readonly totalSeconds: number | null } } | null } };

export class TypedDocumentString<TResult, TVariables>
  extends String
  implements DocumentTypeDecoration<TResult, TVariables>
{
  __apiType?: NonNullable<DocumentTypeDecoration<TResult, TVariables>['__apiType']>;
  private value: string;
  public __meta__?: Record<string, any> | undefined;

  constructor(value: string, __meta__?: Record<string, any> | undefined) {
    super(value);
    this.value = value;
    this.__meta__ = __meta__;
  }

  override toString(): string & DocumentTypeDecoration<TResult, TVariables> {
    return this.value;
  }
}
export const JobPartsFragmentDoc = new TypedDocumentString(`
    fragment JobParts on GenerationJob {
  id
  status
  createdAt
  queuePosition
  reference
  cost
  cancelOutcome
  model {
    id
    name
  }
  parameters {
    prompt
    negativePrompt
    renderedPrompt
    width
    height
    steps
    guidanceScale
    seed
    count
    format
    style {
      id
      name
    }
  }
  progress {
    phase
    fraction
    step
    totalSteps
    etaSeconds
    basis
    previewUrl
  }
  images {
    id
    url
    thumbnailUrl
    width
    height
    format
    seed
    sizeBytes
    blurHash
  }
  withheld {
    index
    code
    message
  }
  failure {
    code
    message
    retryable
  }
  timings {
    queueSeconds
    inferenceSeconds
    storeSeconds
    totalSeconds
  }
}
    `, {"fragmentName":"JobParts"}) as unknown as TypedDocumentString<JobPartsFragment, unknown>;
export const WelcomeDocument = new TypedDocumentString(`
    query Welcome {
  viewer {
    id
    name
    role
  }
  models {
    id
    name
    description
    isDefault
    availability
    license
    defaults {
      width
      height
      steps
      guidanceScale
    }
    limits {
      maxCount
      maxDimension
      maxPromptLength
      maxSteps
      sizeMultiple
    }
  }
  styles {
    id
    name
    keywords
  }
}
    `) as unknown as TypedDocumentString<WelcomeQuery, WelcomeQueryVariables>;
export const AvailabilityDocument = new TypedDocumentString(`
    query Availability {
  models {
    id
    availability
  }
}
    `) as unknown as TypedDocumentString<AvailabilityQuery, AvailabilityQueryVariables>;
export const JobsDocument = new TypedDocumentString(`
    query Jobs($first: Int!, $after: String, $filter: JobFilter) {
  jobs(first: $first, after: $after, filter: $filter) {
    totalCount
    pageInfo {
      hasNextPage
      endCursor
    }
    edges {
      node {
        ...JobParts
      }
    }
  }
}
    fragment JobParts on GenerationJob {
  id
  status
  createdAt
  queuePosition
  reference
  cost
  cancelOutcome
  model {
    id
    name
  }
  parameters {
    prompt
    negativePrompt
    renderedPrompt
    width
    height
    steps
    guidanceScale
    seed
    count
    format
    style {
      id
      name
    }
  }
  progress {
    phase
    fraction
    step
    totalSteps
    etaSeconds
    basis
    previewUrl
  }
  images {
    id
    url
    thumbnailUrl
    width
    height
    format
    seed
    sizeBytes
    blurHash
  }
  withheld {
    index
    code
    message
  }
  failure {
    code
    message
    retryable
  }
  timings {
    queueSeconds
    inferenceSeconds
    storeSeconds
    totalSeconds
  }
}`) as unknown as TypedDocumentString<JobsQuery, JobsQueryVariables>;
export const OneJobDocument = new TypedDocumentString(`
    query OneJob($id: ID!) {
  job(id: $id) {
    ...JobParts
  }
}
    fragment JobParts on GenerationJob {
  id
  status
  createdAt
  queuePosition
  reference
  cost
  cancelOutcome
  model {
    id
    name
  }
  parameters {
    prompt
    negativePrompt
    renderedPrompt
    width
    height
    steps
    guidanceScale
    seed
    count
    format
    style {
      id
      name
    }
  }
  progress {
    phase
    fraction
    step
    totalSteps
    etaSeconds
    basis
    previewUrl
  }
  images {
    id
    url
    thumbnailUrl
    width
    height
    format
    seed
    sizeBytes
    blurHash
  }
  withheld {
    index
    code
    message
  }
  failure {
    code
    message
    retryable
  }
  timings {
    queueSeconds
    inferenceSeconds
    storeSeconds
    totalSeconds
  }
}`) as unknown as TypedDocumentString<OneJobQuery, OneJobQueryVariables>;
export const EstimateDocument = new TypedDocumentString(`
    query Estimate($input: GenerateImageInput!) {
  estimate(input: $input) {
    estimate {
      seconds
      cost
      jobsAhead
    }
    errors {
      __typename
      ... on UserError {
        message
        path
      }
    }
  }
}
    `) as unknown as TypedDocumentString<EstimateQuery, EstimateQueryVariables>;
export const GenerateDocument = new TypedDocumentString(`
    mutation Generate($input: GenerateImageInput!) {
  generateImage(input: $input) {
    job {
      ...JobParts
    }
    errors {
      __typename
      ... on UserError {
        message
        path
      }
      ... on BudgetExceededError {
        retryAfterSeconds
      }
      ... on QueueFullError {
        retryAfterSeconds
      }
      ... on RateLimitedError {
        retryAfterSeconds
      }
    }
  }
}
    fragment JobParts on GenerationJob {
  id
  status
  createdAt
  queuePosition
  reference
  cost
  cancelOutcome
  model {
    id
    name
  }
  parameters {
    prompt
    negativePrompt
    renderedPrompt
    width
    height
    steps
    guidanceScale
    seed
    count
    format
    style {
      id
      name
    }
  }
  progress {
    phase
    fraction
    step
    totalSteps
    etaSeconds
    basis
    previewUrl
  }
  images {
    id
    url
    thumbnailUrl
    width
    height
    format
    seed
    sizeBytes
    blurHash
  }
  withheld {
    index
    code
    message
  }
  failure {
    code
    message
    retryable
  }
  timings {
    queueSeconds
    inferenceSeconds
    storeSeconds
    totalSeconds
  }
}`) as unknown as TypedDocumentString<GenerateMutation, GenerateMutationVariables>;
export const CancelDocument = new TypedDocumentString(`
    mutation Cancel($id: ID!) {
  cancelJob(input: {id: $id}) {
    job {
      ...JobParts
    }
    errors {
      __typename
      ... on UserError {
        message
        path
      }
    }
  }
}
    fragment JobParts on GenerationJob {
  id
  status
  createdAt
  queuePosition
  reference
  cost
  cancelOutcome
  model {
    id
    name
  }
  parameters {
    prompt
    negativePrompt
    renderedPrompt
    width
    height
    steps
    guidanceScale
    seed
    count
    format
    style {
      id
      name
    }
  }
  progress {
    phase
    fraction
    step
    totalSteps
    etaSeconds
    basis
    previewUrl
  }
  images {
    id
    url
    thumbnailUrl
    width
    height
    format
    seed
    sizeBytes
    blurHash
  }
  withheld {
    index
    code
    message
  }
  failure {
    code
    message
    retryable
  }
  timings {
    queueSeconds
    inferenceSeconds
    storeSeconds
    totalSeconds
  }
}`) as unknown as TypedDocumentString<CancelMutation, CancelMutationVariables>;
export const DeleteDocument = new TypedDocumentString(`
    mutation Delete($id: ID!) {
  deleteJob(input: {id: $id}) {
    deletedJobId
    errors {
      __typename
      ... on UserError {
        message
        path
      }
    }
  }
}
    `) as unknown as TypedDocumentString<DeleteMutation, DeleteMutationVariables>;
export const FollowDocument = new TypedDocumentString(`
    subscription Follow($after: String) {
  jobsUpdated(after: $after) {
    kind
    cursor
    jobId
    job {
      ...JobParts
    }
  }
}
    fragment JobParts on GenerationJob {
  id
  status
  createdAt
  queuePosition
  reference
  cost
  cancelOutcome
  model {
    id
    name
  }
  parameters {
    prompt
    negativePrompt
    renderedPrompt
    width
    height
    steps
    guidanceScale
    seed
    count
    format
    style {
      id
      name
    }
  }
  progress {
    phase
    fraction
    step
    totalSteps
    etaSeconds
    basis
    previewUrl
  }
  images {
    id
    url
    thumbnailUrl
    width
    height
    format
    seed
    sizeBytes
    blurHash
  }
  withheld {
    index
    code
    message
  }
  failure {
    code
    message
    retryable
  }
  timings {
    queueSeconds
    inferenceSeconds
    storeSeconds
    totalSeconds
  }
}`) as unknown as TypedDocumentString<FollowSubscription, FollowSubscriptionVariables>;