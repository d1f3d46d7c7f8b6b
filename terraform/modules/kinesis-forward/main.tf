# kinesis-forward: records of one stream into another, by log type.

locals {
  module = "kinesis-forward"

  streams           = "arn:${data.aws_partition.current.partition}:kinesis:${data.aws_region.current.id}:${data.aws_caller_identity.current.account_id}:stream"
  stream_arn        = "${local.streams}/${var.source_stream_name}"
  target_stream_arn = "${local.streams}/${var.target_stream_name}"

  failed_log = { bucket = var.failed_log_s3_bucket, prefix = var.failed_log_s3_prefix }

  environment = {
    TARGET_STREAM_NAME  = var.target_stream_name
    KINESIS_MAX_RETRIES = tostring(var.kinesis_max_retries)
  }

  statements = concat(
    [{
      Sid      = "PutIntoTarget"
      Effect   = "Allow"
      Action   = "kinesis:PutRecords"
      Resource = local.target_stream_arn
    }],
    [for key in var.target_stream_kms_key_arn[*] : {
      Sid      = "EncryptTarget"
      Effect   = "Allow"
      Action   = "kms:GenerateDataKey"
      Resource = key
    }],
  )
}
