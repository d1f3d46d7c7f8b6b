# kinesis-to-s3: gzipped JSON lines in S3, by log type and date.

locals {
  module     = "kinesis-to-s3"
  stream_arn = var.kinesis_stream_arn

  log_prefix = trim(var.log_path_prefix, "/")
  log_place  = local.log_prefix == "" ? var.log_bucket : "${var.log_bucket}/${local.log_prefix}"

  # Beside the logs: among them, "failed" could be a log type.
  failed_log = {
    bucket = coalesce(var.failed_log_s3_bucket, var.log_bucket)
    prefix = var.failed_log_s3_prefix != null ? var.failed_log_s3_prefix : local.log_prefix == "" ? "failed" : "${local.log_prefix}-failed"
  }

  environment = {
    LOG_S3_BUCKET = var.log_bucket
    LOG_S3_PREFIX = local.log_prefix
  }

  statements = concat(
    [{
      Sid    = "WriteObjects"
      Effect = "Allow"
      # Reading: to tell an object of its own, after a retry, from one that another log with the same id has made.
      Action   = concat(["s3:GetObject", "s3:PutObject"], [for tags in [try(var.settings.tags, {})] : "s3:PutObjectTagging" if try(length(tags) > 0, false)])
      Resource = "arn:${data.aws_partition.current.partition}:s3:::${local.log_place}/*"
    }],
    [for key in var.log_bucket_kms_key_arn[*] : {
      Sid      = "EncryptLogs"
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = key
    }],
  )
}
