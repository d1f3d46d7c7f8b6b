# Inputs that only this module has. The others stand in function-variables.tf and mapping-variables.tf.

variable "kinesis_stream_arn" {
  description = "ARN of the stream that is read."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kinesis:[a-z0-9-]+:[0-9]{12}:stream/[A-Za-z0-9_.-]+$", var.kinesis_stream_arn))
    error_message = "kinesis_stream_arn is the ARN of a stream, arn:aws:kinesis:REGION:ACCOUNT:stream/NAME, not its name, and not that of a consumer (see enhanced_fan_out)."
  }
}

variable "elasticsearch_host" {
  description = "Host of the cluster, without https:// (a URL is taken too); several nodes with commas between."
  type        = string

  validation {
    condition     = alltrue([for node in split(",", var.elasticsearch_host) : can(regex("^(https?://)?[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?(/[^\\s@]*)?$", trimspace(node)))])
    error_message = "elasticsearch_host is a host, or the URL of a cluster, without a user and a password: give those as settings.username and secret_settings.password."
  }
}

variable "elasticsearch_arn" {
  description = "ARN of the domain of Amazon OpenSearch Service (Elasticsearch Service), or of the collection of OpenSearch Serverless; null: a cluster that is not Amazon's."
  type        = string
  default     = null

  validation {
    condition     = var.elasticsearch_arn == null || can(regex("^arn:[a-z-]+:(es:[a-z0-9-]+:[0-9]+:domain/[a-z0-9-]+|aoss:[a-z0-9-]+:[0-9]+:collection/[a-z0-9]+)$", var.elasticsearch_arn))
    error_message = "elasticsearch_arn is the ARN of a domain, arn:aws:es:REGION:ACCOUNT:domain/NAME, or of a collection, arn:aws:aoss:REGION:ACCOUNT:collection/ID."
  }
}

variable "index_name_prefix" {
  description = "Indices are {index_name_prefix}-{log_type}-{YYYYMMDD}."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9_.-]{0,44}$", var.index_name_prefix))
    error_message = "index_name_prefix has 45 characters at most, begins with a small letter or a digit, and has small letters, digits, '_', '.' and '-': it becomes a part of index names."
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
