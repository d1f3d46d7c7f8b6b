# kinesis-forward: records of one stream into another, by log type.

locals {
  module = "kinesis-forward"

  account    = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  stream_arn = "arn:${local.partition}:kinesis:${data.aws_region.current.id}:${local.account}:stream/${var.source_stream_name}"

  # The one target's region and role are settings, as all that the originals do not have.
  one_target = [for name in var.target_stream_name[*] : {
    target_stream_name = name
    target_region      = try(var.settings.target_region, null)
    target_role_arn    = try(var.settings.target_role_arn, null)
  }]
  targets = [for target in concat(local.one_target, var.targets) : {
    arn      = "arn:${local.partition}:kinesis:${coalesce(try(target.target_region, null), data.aws_region.current.id)}:${local.account}:stream/${target.target_stream_name}"
    role_arn = try(target.target_role_arn, null)
  }]
  # A stream that another role puts into needs no right here but to take that role.
  target_stream_arns = distinct([for target in local.targets : target.arn if target.role_arn == null])
  target_role_arns   = distinct([for target in local.targets : target.role_arn if target.role_arn != null])

  failed_log = { bucket = var.failed_log_s3_bucket, prefix = var.failed_log_s3_prefix }

  environment = {
    TARGET_STREAM_NAME  = var.target_stream_name
    BAIKONUR_TARGETS    = length(var.targets) == 0 ? null : jsonencode(var.targets)
    KINESIS_MAX_RETRIES = tostring(var.kinesis_max_retries)
  }

  statements = concat(
    [for arns in [local.target_stream_arns] : {
      Sid      = "PutIntoTarget"
      Effect   = "Allow"
      Action   = "kinesis:PutRecords"
      Resource = arns
    } if length(arns) > 0],
    [for arns in [local.target_role_arns] : {
      Sid      = "TakeTargetRole"
      Effect   = "Allow"
      Action   = "sts:AssumeRole"
      Resource = arns
    } if length(arns) > 0],
    [for key in var.target_stream_kms_key_arn[*] : {
      Sid      = "EncryptTarget"
      Effect   = "Allow"
      Action   = "kms:GenerateDataKey"
      Resource = key
    }],
  )
}

output "target_stream_arns" {
  description = "ARNs of the streams that the function's own role puts into."
  value       = local.target_stream_arns

  precondition {
    condition     = (var.target_stream_name == null) != (length(var.targets) == 0)
    error_message = "Give target_stream_name or targets, one of them."
  }
}
