# Inputs of the event source mapping and of decoding. This file is the same in all modules that read a stream;
# terraform/tests compares them. There is no tumbling_window_in_seconds: the functions keep no state between invocations.

variable "batch_size" {
  description = "Records of a batch, 1 to 10,000."
  type        = number
  default     = 500

  validation {
    condition     = var.batch_size >= 1 && var.batch_size <= 10000 && floor(var.batch_size) == var.batch_size
    error_message = "batch_size is 1 to 10000 records."
  }
}

variable "maximum_batching_window_in_seconds" {
  description = "How long Lambda waits for a full batch, 0 to 300 seconds."
  type        = number
  default     = 0

  validation {
    condition     = var.maximum_batching_window_in_seconds >= 0 && var.maximum_batching_window_in_seconds <= 300 && floor(var.maximum_batching_window_in_seconds) == var.maximum_batching_window_in_seconds
    error_message = "maximum_batching_window_in_seconds is 0 to 300, in whole seconds."
  }
}

variable "parallelization_factor" {
  description = "Batches of a shard at the same time, 1 to 10. Order is kept within a partition key only."
  type        = number
  default     = 1

  validation {
    condition     = var.parallelization_factor >= 1 && var.parallelization_factor <= 10 && floor(var.parallelization_factor) == var.parallelization_factor
    error_message = "parallelization_factor is 1 to 10."
  }
}

variable "starting_position" {
  description = "Where a new mapping begins: TRIM_HORIZON, LATEST or AT_TIMESTAMP. A change makes a new mapping, which begins there again."
  type        = string
  default     = "TRIM_HORIZON"

  validation {
    condition     = contains(["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"], var.starting_position)
    error_message = "starting_position is TRIM_HORIZON, LATEST or AT_TIMESTAMP."
  }
}

variable "starting_position_timestamp" {
  description = "With AT_TIMESTAMP: the time, as 2026-01-31T08:00:00Z."
  type        = string
  default     = null

  validation {
    condition     = var.starting_position_timestamp == null || can(formatdate("YYYY", var.starting_position_timestamp))
    error_message = "starting_position_timestamp is a time with its offset, as 2026-01-31T08:00:00Z."
  }
}

variable "maximum_retry_attempts" {
  description = "How often a batch that failed is tried again, 0 to 10,000; -1: until it passes or expires."
  type        = number
  default     = -1

  validation {
    condition     = var.maximum_retry_attempts >= -1 && var.maximum_retry_attempts <= 10000 && floor(var.maximum_retry_attempts) == var.maximum_retry_attempts
    error_message = "maximum_retry_attempts is -1 (without end) to 10000."
  }
}

variable "maximum_record_age_in_seconds" {
  description = "Older records are given up, 60 to 604,800; -1: none."
  type        = number
  default     = -1

  validation {
    condition = floor(var.maximum_record_age_in_seconds) == var.maximum_record_age_in_seconds && (
      var.maximum_record_age_in_seconds == -1 || (var.maximum_record_age_in_seconds >= 60 && var.maximum_record_age_in_seconds <= 604800)
    )
    error_message = "maximum_record_age_in_seconds is -1 (any age) or 60 to 604800."
  }
}

variable "bisect_batch_on_function_error" {
  description = "Whether a batch that makes the function fail is cut in two before it is tried again."
  type        = bool
  default     = false
}

variable "on_failure_destination_arn" {
  description = "Who is told of batches that were given up: ARN of an SQS queue, an SNS topic (no FIFO) or an S3 bucket. Acts with maximum_retry_attempts or maximum_record_age_in_seconds alone."
  type        = string
  default     = null

  validation {
    condition     = var.on_failure_destination_arn == null || can(regex("^arn:[a-z-]+:(sqs|sns|s3):[^/]*$", var.on_failure_destination_arn))
    error_message = "on_failure_destination_arn is the ARN of an SQS queue, an SNS topic or an S3 bucket (without a prefix)."
  }
  validation {
    condition     = var.on_failure_destination_arn == null || !can(regex("[.]fifo$", var.on_failure_destination_arn))
    error_message = "on_failure_destination_arn cannot be a FIFO queue or topic: Lambda sends to standard ones only."
  }
}

variable "on_failure_kms_key_arn" {
  description = "Key that the destination of failures is encrypted with, if it is one of your own."
  type        = string
  default     = null
}

variable "filter_criteria" {
  description = "Patterns of Lambda's event filter, JSON texts, of which one has to match. They see the Kinesis record as it is put: for gzipped, aggregated or CloudWatch Logs records use settings.filter_criteria, which sees each event."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.filter_criteria) <= 10
    error_message = "filter_criteria has 10 patterns at most (5, unless AWS has raised the account's quota)."
  }
  validation {
    condition     = alltrue([for pattern in var.filter_criteria : length(pattern) <= 4096 && can(keys(jsondecode(pattern)))])
    error_message = "Each pattern of filter_criteria is the text of a JSON object of 4096 characters at most: jsonencode({ data = { level = [\"ERROR\"] } })."
  }
}

variable "filter_criteria_kms_key_arn" {
  description = "Key that the filter criteria are encrypted with."
  type        = string
  default     = null
}

variable "enable_kinesis_mapping" {
  description = "Whether the mapping runs. A mapping that is switched off keeps its position."
  type        = bool
  default     = true
}

variable "enhanced_fan_out" {
  description = "Whether the function gets a consumer with a throughput of its own (2 MiB/s a shard, at a price). A change makes a new mapping, which begins at starting_position."
  type        = bool
  default     = false
}

variable "mapping_metrics" {
  description = "Whether CloudWatch gets the mapping's own counts (EventCount), at a price."
  type        = bool
  default     = false
}

variable "stream_kms_key_arn" {
  description = "Key that the source stream is encrypted with, if it is one of your own."
  type        = string
  default     = null
}

variable "log_id_field" {
  description = "Field with the log id: a key, a dotted path or a JSON pointer."
  type        = string
  default     = "log_id"

  validation {
    condition     = var.log_id_field != ""
    error_message = "log_id_field is a key, a dotted path or a JSON pointer."
  }
}

variable "log_type_field" {
  description = "Field with the log type: a key, a dotted path or a JSON pointer."
  type        = string
  default     = "log_type"

  validation {
    condition     = var.log_type_field != ""
    error_message = "log_type_field is a key, a dotted path or a JSON pointer."
  }
}

variable "log_timestamp_field" {
  description = "Field with the time: a key, a dotted path or a JSON pointer."
  type        = string
  default     = "time"

  validation {
    condition     = var.log_timestamp_field != ""
    error_message = "log_timestamp_field is a key, a dotted path or a JSON pointer."
  }
}

variable "log_type_unknown_prefix" {
  description = "Stands before the type of records that lack a field."
  type        = string
  default     = "unknown"

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$", var.log_type_unknown_prefix)) && !can(regex("(^|/)[.]+(/|$)", var.log_type_unknown_prefix))
    error_message = "log_type_unknown_prefix is a name of letters, digits, '_', '.', '-', or several with '/' between them: it becomes a part of keys, index names and tags."
  }
}

variable "log_type_field_whitelist" {
  description = "Log types to admit: names, prefix*, *; !name excludes. Empty admits all."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for entry in var.log_type_field_whitelist : trimspace(entry) != "" && !can(regex(",", entry))])
    error_message = "An entry of log_type_field_whitelist is a log type: not empty, and without a comma."
  }
}

variable "failed_log_kms_key_arn" {
  description = "Key that the bucket of failed records is encrypted with, if it is one of your own."
  type        = string
  default     = null
}

variable "alarms" {
  description = "Alarms on the function's errors, throttles and iterator age; null: none. actions are ARNs, such as SNS topics."
  type = object({
    actions                   = list(string)
    ok_actions                = optional(list(string), [])
    errors                    = optional(number, 1)
    throttles                 = optional(number, 1)
    iterator_age_milliseconds = optional(number, 300000)
    period_in_seconds         = optional(number, 60)
    evaluation_periods        = optional(number, 5)
  })
  default = null

  validation {
    condition     = var.alarms == null || try(alltrue([for arn in concat(var.alarms.actions, var.alarms.ok_actions) : can(regex("^arn:", arn))]), true)
    error_message = "alarms.actions and alarms.ok_actions are ARNs."
  }
  validation {
    condition     = var.alarms == null || try(var.alarms.errors > 0 && var.alarms.throttles > 0 && var.alarms.iterator_age_milliseconds > 0 && var.alarms.evaluation_periods >= 1, true)
    error_message = "The thresholds and evaluation_periods of alarms are greater than 0."
  }
  validation {
    condition     = var.alarms == null || try(contains([10, 30], var.alarms.period_in_seconds) || var.alarms.period_in_seconds % 60 == 0, true)
    error_message = "alarms.period_in_seconds is 10, 30 or a multiple of 60."
  }
}
