# The function and its event source mapping. This file is the same in all modules that read a stream; terraform/tests
# compares them. What differs stands in main.tf: local.module, local.stream_arn, local.environment, local.statements.

data "aws_partition" "current" {}

data "aws_region" "current" {}

data "aws_caller_identity" "current" {}

locals {
  failed_log_prefix = trim(local.failed_log.prefix, "/")
  failed_log_place  = local.failed_log_prefix == "" ? local.failed_log.bucket : "${local.failed_log.bucket}/${local.failed_log_prefix}"

  common_environment = {
    TZ                      = var.timezone
    LOG_ID_FIELD            = var.log_id_field
    LOG_TYPE_FIELD          = var.log_type_field
    LOG_TIMESTAMP_FIELD     = var.log_timestamp_field
    LOG_TYPE_UNKNOWN_PREFIX = var.log_type_unknown_prefix
    LOG_TYPE_WHITELIST      = join(",", var.log_type_field_whitelist)
    FAILED_LOG_S3_BUCKET    = local.failed_log.bucket
    FAILED_LOG_S3_PREFIX    = local.failed_log_prefix
  }

  failed_log_statements = concat(
    [{
      Sid      = "KeepFailedRecords"
      Effect   = "Allow"
      Action   = "s3:PutObject"
      Resource = "arn:${data.aws_partition.current.partition}:s3:::${local.failed_log_place}/*"
    }],
    [for key in var.failed_log_kms_key_arn[*] : {
      Sid      = "EncryptFailedRecords"
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = key
    }],
  )
}

module "function" {
  source = "../lambda-function"

  module             = local.module
  name               = var.name
  description        = "baikonur ${local.module}"
  statements         = concat(module.mapping.statements, local.statements, local.failed_log_statements)
  module_environment = { for key, value in merge(local.common_environment, local.environment) : key => value if value != null && value != "" }
  reads_a_stream     = true

  lambda_package_url               = var.lambda_package_url
  lambda_package_file              = var.lambda_package_file
  lambda_package_s3_bucket         = var.lambda_package_s3_bucket
  lambda_package_s3_key            = var.lambda_package_s3_key
  lambda_package_s3_object_version = var.lambda_package_s3_object_version
  lambda_package_base64sha256      = var.lambda_package_base64sha256

  handler                        = coalesce(var.handler, local.module)
  runtime                        = var.runtime
  architectures                  = var.architectures
  layers                         = var.layers
  memory                         = var.memory
  timeout                        = var.timeout
  reserved_concurrent_executions = var.reserved_concurrent_executions

  settings                = var.settings
  secret_settings         = var.secret_settings
  environment             = var.environment
  environment_kms_key_arn = var.environment_kms_key_arn

  subnet_ids               = var.subnet_ids
  security_group_ids       = var.security_group_ids
  permissions_boundary_arn = var.permissions_boundary_arn

  tracing_mode          = var.tracing_mode
  log_retention_in_days = var.log_retention_in_days
  log_kms_key_arn       = var.log_kms_key_arn
  log_format            = var.log_format
  application_log_level = var.application_log_level
  system_log_level      = var.system_log_level
  alarms                = var.alarms
  tags                  = var.tags
}

module "mapping" {
  source = "../kinesis-mapping"

  name               = var.name
  function_arn       = module.function.function_arn
  stream_arn         = local.stream_arn
  stream_kms_key_arn = var.stream_kms_key_arn
  enabled            = var.enable_kinesis_mapping
  enhanced_fan_out   = var.enhanced_fan_out

  batch_size                         = var.batch_size
  maximum_batching_window_in_seconds = var.maximum_batching_window_in_seconds
  parallelization_factor             = var.parallelization_factor
  starting_position                  = var.starting_position
  starting_position_timestamp        = var.starting_position_timestamp

  maximum_retry_attempts         = var.maximum_retry_attempts
  maximum_record_age_in_seconds  = var.maximum_record_age_in_seconds
  bisect_batch_on_function_error = var.bisect_batch_on_function_error
  on_failure_destination_arn     = var.on_failure_destination_arn
  on_failure_kms_key_arn         = var.on_failure_kms_key_arn

  filter_criteria             = var.filter_criteria
  filter_criteria_kms_key_arn = var.filter_criteria_kms_key_arn
  mapping_metrics             = var.mapping_metrics
  tags                        = var.tags
}

# A state of the originals goes on as it is: the function, its log group, its role, and above all the mapping, which keeps
# its position in the stream.

moved {
  from = aws_lambda_function.function
  to   = module.function.aws_lambda_function.function
}

moved {
  from = aws_cloudwatch_log_group.logs
  to   = module.function.aws_cloudwatch_log_group.logs
}

moved {
  from = module.iam.aws_iam_role.iam_role
  to   = module.function.aws_iam_role.role
}

moved {
  from = module.iam.aws_iam_role_policy.role_policy
  to   = module.function.aws_iam_role_policy.policy
}

moved {
  from = aws_lambda_event_source_mapping.kinesis_mapping
  to   = module.mapping.aws_lambda_event_source_mapping.kinesis
}
