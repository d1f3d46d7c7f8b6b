# Inputs that only this module has. The others stand in function-variables.tf and mapping-variables.tf.

variable "kinesis_stream_arn" {
  description = "ARN of the stream that is read."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kinesis:[a-z0-9-]+:[0-9]{12}:stream/[A-Za-z0-9_.-]+$", var.kinesis_stream_arn))
    error_message = "kinesis_stream_arn is the ARN of a stream, arn:aws:kinesis:REGION:ACCOUNT:stream/NAME, not its name, and not that of a consumer (see enhanced_fan_out)."
  }
}

variable "fluent_sink_endpoint" {
  description = "Host of the receiver, fluent://host:24224, or fluents://host:24224 for TLS; null with settings.servers."
  type        = string
  default     = null

  validation {
    condition     = var.fluent_sink_endpoint == null || can(regex("^[^\\s/@]+$|^[a-z]+://[^\\s/@]+/?$", var.fluent_sink_endpoint))
    error_message = "fluent_sink_endpoint is a host, host:port or fluent://host:port."
  }
}

variable "fluent_tag" {
  description = "Events get the tag {log_type}.{fluent_tag}; null with settings.tag."
  type        = string
  default     = null

  validation {
    condition     = var.fluent_tag == null || can(regex("^[^\\s]+$", var.fluent_tag))
    error_message = "fluent_tag is a text without blanks: events get the tag {log_type}.{fluent_tag}."
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
