# The function with its role, its log group and its alarms. Internal: the modules beside it call it.

data "aws_partition" "current" {}

data "aws_region" "current" {}

data "aws_caller_identity" "current" {}

locals {
  function_arn = join(":", [
    "arn", data.aws_partition.current.partition, "lambda", data.aws_region.current.id,
    data.aws_caller_identity.current.account_id, "function", var.name,
  ])
}

resource "aws_lambda_function" "function" {
  function_name = var.name
  description   = var.description
  role          = aws_iam_role.role.arn

  handler                        = var.handler
  runtime                        = var.runtime
  architectures                  = var.architectures
  layers                         = var.layers
  memory_size                    = var.memory
  timeout                        = var.timeout
  reserved_concurrent_executions = var.reserved_concurrent_executions

  filename          = var.lambda_package_file
  s3_bucket         = local.package_s3.bucket
  s3_key            = local.package_s3.key
  s3_object_version = local.package_s3.version
  source_code_hash  = local.package_hash

  kms_key_arn = var.environment_kms_key_arn
  environment {
    variables = local.environment
  }

  logging_config {
    log_format            = var.log_format
    log_group             = aws_cloudwatch_log_group.logs.name
    application_log_level = var.log_format == "JSON" ? var.application_log_level : null
    system_log_level      = var.log_format == "JSON" ? var.system_log_level : null
  }

  tracing_config {
    mode = var.tracing_mode
  }

  dynamic "vpc_config" {
    for_each = local.in_vpc ? [1] : []
    content {
      subnet_ids         = var.subnet_ids
      security_group_ids = var.security_group_ids
    }
  }

  dynamic "dead_letter_config" {
    for_each = var.dead_letter_arn[*]
    content {
      target_arn = dead_letter_config.value
    }
  }

  tags = var.tags

  # Lambda tries the role's rights when it makes the function, and again when it makes the mapping.
  depends_on = [aws_iam_role_policy.policy]

  lifecycle {
    precondition {
      condition     = local.package_places == 1
      error_message = "Say once where the package is: lambda_package_file, lambda_package_url, or lambda_package_s3_bucket with lambda_package_s3_key; ${local.package_places} of them are given."
    }
    precondition {
      condition     = (var.lambda_package_s3_bucket == null) == (var.lambda_package_s3_key == null)
      error_message = "lambda_package_s3_bucket and lambda_package_s3_key go together."
    }
    precondition {
      condition     = try(var.lambda_package_base64sha256 == null || filebase64sha256(var.lambda_package_file) == var.lambda_package_base64sha256, true)
      error_message = "The file of lambda_package_file is not the one of lambda_package_base64sha256. Download it again, or correct the checksum: openssl dgst -sha256 -binary FILE | base64."
    }
    precondition {
      condition     = (length(var.subnet_ids) == 0) == (length(var.security_group_ids) == 0)
      error_message = "subnet_ids and security_group_ids go together: give both, or neither."
    }
    precondition {
      condition     = local.environment_bytes <= 4096
      error_message = "The environment variables take ${local.environment_bytes} bytes; Lambda allows 4096. Shorten settings or environment."
    }
  }
}

resource "aws_cloudwatch_log_group" "logs" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_in_days
  kms_key_id        = var.log_kms_key_arn
  tags              = var.tags
}
