# Inputs that only this module has. The others stand in function-variables.tf and mapping-variables.tf.

variable "source_stream_name" {
  description = "Name of the stream that is read."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]{1,128}$", var.source_stream_name))
    error_message = "source_stream_name is the name of a stream of this account and region, not its ARN."
  }
}

variable "target_stream_name" {
  description = "Name of the stream that records are put into. This, or targets."
  type        = string
  default     = null

  validation {
    condition     = var.target_stream_name == null || can(regex("^[A-Za-z0-9_.-]{1,128}$", var.target_stream_name))
    error_message = "target_stream_name is the name of a stream of this account and region, not its ARN."
  }
}

variable "targets" {
  description = "Several streams, each with its rule, instead of target_stream_name: objects with the keys that docs/kinesis-forward.md has for a target."
  type        = any
  default     = []

  validation {
    condition     = can([for target in var.targets : regex("^[A-Za-z0-9_.-]{1,128}$", target.target_stream_name)])
    error_message = "targets is a list of objects, each with a target_stream_name, which is the name of a stream and not its ARN."
  }
}

variable "target_stream_kms_key_arn" {
  description = "Key that the target stream is encrypted with, if it is one of your own."
  type        = string
  default     = null
}

variable "kinesis_max_retries" {
  description = "Taken because the originals have it. What was not put is handed over again by Lambda (maximum_retry_attempts); nothing is lost in between."
  type        = number
  default     = 3

  validation {
    condition     = var.kinesis_max_retries >= 0 && floor(var.kinesis_max_retries) == var.kinesis_max_retries
    error_message = "kinesis_max_retries is 0 or more."
  }
}

variable "failed_log_s3_bucket" {
  description = "Bucket for records that cannot be decoded or delivered: the failed store."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.failed_log_s3_bucket))
    error_message = "failed_log_s3_bucket is the name of a bucket, without s3:// and without a prefix."
  }
}

variable "failed_log_s3_prefix" {
  description = "Stands before every key of the failed store."
  type        = string

  validation {
    condition     = !can(regex("^s3://", var.failed_log_s3_prefix))
    error_message = "failed_log_s3_prefix is a prefix of keys; the bucket is failed_log_s3_bucket."
  }
}
