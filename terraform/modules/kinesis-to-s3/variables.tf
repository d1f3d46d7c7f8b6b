# Inputs that only this module has. The others stand in function-variables.tf and mapping-variables.tf.

variable "kinesis_stream_arn" {
  description = "ARN of the stream that is read."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kinesis:[a-z0-9-]+:[0-9]{12}:stream/[A-Za-z0-9_.-]+$", var.kinesis_stream_arn))
    error_message = "kinesis_stream_arn is the ARN of a stream, arn:aws:kinesis:REGION:ACCOUNT:stream/NAME, not its name, and not that of a consumer (see enhanced_fan_out)."
  }
}

variable "log_bucket" {
  description = "Bucket that the logs are written to."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.log_bucket))
    error_message = "log_bucket is the name of a bucket, without s3:// and without a prefix."
  }
}

variable "log_path_prefix" {
  description = "Stands before every key."
  type        = string

  validation {
    condition     = !can(regex("^s3://", var.log_path_prefix))
    error_message = "log_path_prefix is a prefix of keys; the bucket is log_bucket."
  }
}

variable "log_bucket_kms_key_arn" {
  description = "Key that the bucket is encrypted with, if it is one of your own."
  type        = string
  default     = null
}

variable "failed_log_s3_bucket" {
  description = "Bucket for records that cannot be decoded or delivered: the failed store. Default: log_bucket."
  type        = string
  default     = null

  validation {
    condition     = var.failed_log_s3_bucket == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.failed_log_s3_bucket))
    error_message = "failed_log_s3_bucket is the name of a bucket, without s3:// and without a prefix."
  }
}

variable "failed_log_s3_prefix" {
  description = "Stands before every key of the failed store. Default: {log_path_prefix}-failed, beside the logs and not among them."
  type        = string
  default     = null

  validation {
    condition     = var.failed_log_s3_prefix == null || !can(regex("^s3://", var.failed_log_s3_prefix))
    error_message = "failed_log_s3_prefix is a prefix of keys; the bucket is failed_log_s3_bucket."
  }
}
