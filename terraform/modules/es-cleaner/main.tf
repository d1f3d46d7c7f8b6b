# es-cleaner: deletes indices by the date in their name, on a schedule.

locals {
  module = "es-cleaner"

  # A domain is asked for each HTTP method, a collection for all of them together.
  search_rights = {
    es   = { actions = ["es:ESHttpDelete", "es:ESHttpGet", "es:ESHttpHead"], behind = "/*" }
    aoss = { actions = ["aoss:APIAccessAll"], behind = "" }
  }
  statements = [for arn in var.elasticsearch_arn[*] : {
    Sid      = "DeleteIndices"
    Effect   = "Allow"
    Action   = local.search_rights[split(":", arn)[2]].actions
    Resource = "${arn}${local.search_rights[split(":", arn)[2]].behind}"
  }]
}

module "function" {
  source = "../lambda-function"

  module      = local.module
  name        = var.name
  description = "baikonur ${local.module}"
  statements  = local.statements
  module_environment = {
    TZ                         = var.timezone
    ES_HOST                    = var.elasticsearch_host
    BAIKONUR_MAX_AGE_DAYS      = tostring(var.max_age_days)
    BAIKONUR_DRY_RUN_ONLY      = tostring(var.dry_run_only)
    BAIKONUR_INDEX_NAME_PREFIX = jsonencode(var.index_name_prefix)
    BAIKONUR_EXCLUDE           = jsonencode(var.exclude)
  }
  reads_a_stream  = false
  dead_letter_arn = var.dead_letter_arn

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

resource "aws_cloudwatch_event_rule" "rule" {
  name                = var.name
  description         = "Runs ${var.name}"
  schedule_expression = var.schedule_expression
  state               = var.enable_schedule ? "ENABLED" : "DISABLED"
  tags                = var.tags
}

resource "aws_cloudwatch_event_target" "target" {
  rule = aws_cloudwatch_event_rule.rule.name
  arn  = module.function.function_arn
}

resource "aws_lambda_permission" "allow_cloudwatch_invocation" {
  statement_id  = "AllowExecutionFromCloudWatch"
  action        = "lambda:InvokeFunction"
  function_name = module.function.function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.rule.arn
}

resource "aws_lambda_function_event_invoke_config" "retries" {
  function_name          = module.function.function_name
  maximum_retry_attempts = var.maximum_retry_attempts
}

# A state of the original goes on as it is.

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
