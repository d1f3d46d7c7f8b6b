# Ranges are checked by the modules that call this one.

variable "name" {
  description = "Name of the function, and of the consumer with enhanced fan-out."
  type        = string
}

variable "function_arn" {
  description = "ARN of the function that gets the batches."
  type        = string
}

variable "stream_arn" {
  description = "ARN of the stream that is read."
  type        = string
}

variable "stream_kms_key_arn" {
  type = string
}

variable "enabled" {
  type = bool
}

variable "enhanced_fan_out" {
  type = bool
}

variable "batch_size" {
  type = number
}

variable "maximum_batching_window_in_seconds" {
  type = number
}

variable "parallelization_factor" {
  type = number
}

variable "starting_position" {
  type = string
}

variable "starting_position_timestamp" {
  type = string
}

variable "maximum_retry_attempts" {
  type = number
}

variable "maximum_record_age_in_seconds" {
  type = number
}

variable "bisect_batch_on_function_error" {
  type = bool
}

variable "on_failure_destination_arn" {
  type = string
}

variable "on_failure_kms_key_arn" {
  type = string
}

variable "filter_criteria" {
  type = list(string)
}

variable "filter_criteria_kms_key_arn" {
  type = string
}

variable "mapping_metrics" {
  type = bool
}

variable "tags" {
  type = map(string)
}
