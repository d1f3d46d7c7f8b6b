# The function, its package, its variables, its role and its alarms, with the real provider's schema and no account:
# terraform test

mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  module             = "kinesis-to-s3"
  name               = "logs"
  description        = "logs"
  statements         = []
  module_environment = { TZ = "UTC", LOG_S3_BUCKET = "archive" }
  reads_a_stream     = true

  lambda_package_url               = null
  lambda_package_file              = null
  lambda_package_s3_bucket         = null
  lambda_package_s3_key            = null
  lambda_package_s3_object_version = null
  lambda_package_base64sha256      = null

  handler                        = "kinesis-to-s3"
  runtime                        = "provided.al2023"
  architectures                  = ["arm64"]
  layers                         = []
  memory                         = 256
  timeout                        = 60
  reserved_concurrent_executions = -1

  settings                = {}
  secret_settings         = {}
  environment             = {}
  environment_kms_key_arn = null

  subnet_ids               = []
  security_group_ids       = []
  permissions_boundary_arn = null

  tracing_mode          = "PassThrough"
  log_retention_in_days = 30
  log_kms_key_arn       = null
  log_format            = "JSON"
  application_log_level = "INFO"
  system_log_level      = "WARN"
  alarms                = null
  tags                  = {}
}

run "a_package_may_be_a_file" {
  variables {
    # Any file will do: nobody unpacks it here.
    lambda_package_file         = "main.tf"
    lambda_package_base64sha256 = filebase64sha256("main.tf")
  }
  assert {
    condition = (
      aws_lambda_function.function.filename == "main.tf" &&
      aws_lambda_function.function.s3_bucket == null &&
      aws_lambda_function.function.source_code_hash == filebase64sha256("main.tf")
    )
    error_message = "The package is not the file."
  }
  assert {
    condition = (
      aws_lambda_function.function.runtime == "provided.al2023" &&
      aws_lambda_function.function.handler == "kinesis-to-s3" &&
      aws_lambda_function.function.architectures == tolist(["arm64"]) &&
      aws_lambda_function.function.memory_size == 256 &&
      aws_lambda_function.function.timeout == 60 &&
      aws_lambda_function.function.tracing_config[0].mode == "PassThrough" &&
      aws_lambda_function.function.logging_config[0].log_format == "JSON" &&
      aws_lambda_function.function.logging_config[0].log_group == "/aws/lambda/logs" &&
      aws_lambda_function.function.logging_config[0].system_log_level == "WARN" &&
      length(aws_lambda_function.function.vpc_config) == 0 &&
      length(aws_lambda_function.function.dead_letter_config) == 0 &&
      aws_cloudwatch_log_group.logs.retention_in_days == 30
    )
    error_message = "The function is not as asked for."
  }
  assert {
    condition = (
      aws_iam_role.role.name == "lambda_logs" &&
      jsondecode(aws_iam_role.role.assume_role_policy).Statement[0].Principal.Service == "lambda.amazonaws.com"
    )
    error_message = "The role is not the function's."
  }
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.alarm) == 0
    error_message = "There are alarms that nobody asked for."
  }
}

run "a_package_may_be_an_object" {
  variables {
    lambda_package_s3_bucket         = "packages"
    lambda_package_s3_key            = "baikonur/arm64.zip"
    lambda_package_s3_object_version = "v1"
    lambda_package_base64sha256      = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
  }
  assert {
    condition     = [aws_lambda_function.function.s3_bucket, aws_lambda_function.function.s3_key, aws_lambda_function.function.s3_object_version] == ["packages", "baikonur/arm64.zip", "v1"]
    error_message = "The package is not the object."
  }
  assert {
    condition     = aws_lambda_function.function.source_code_hash == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    error_message = "The checksum does not say when the package changes."
  }
}

run "a_url_may_be_s3s_own" {
  variables {
    lambda_package_url = "s3://packages/baikonur/arm64.zip"
  }
  assert {
    condition     = [aws_lambda_function.function.s3_bucket, aws_lambda_function.function.s3_key] == ["packages", "baikonur/arm64.zip"] && aws_lambda_function.function.s3_object_version == null
    error_message = "The URL is not understood."
  }
}

run "a_url_may_have_the_bucket_as_its_host" {
  variables {
    lambda_package_url = "https://my.packages.s3.eu-west-1.amazonaws.com/baikonur/arm64.zip?versionId=v1"
  }
  assert {
    condition     = [aws_lambda_function.function.s3_bucket, aws_lambda_function.function.s3_key, aws_lambda_function.function.s3_object_version] == ["my.packages", "baikonur/arm64.zip", "v1"]
    error_message = "The URL is not understood."
  }
}

run "a_url_may_have_the_bucket_in_its_path" {
  variables {
    lambda_package_url = "https://s3.eu-west-1.amazonaws.com/packages/arm64.zip"
  }
  assert {
    condition     = [aws_lambda_function.function.s3_bucket, aws_lambda_function.function.s3_key] == ["packages", "arm64.zip"]
    error_message = "The URL is not understood."
  }
}

run "a_url_may_have_no_region" {
  variables {
    lambda_package_url = "https://packages.s3.amazonaws.com/arm64.zip"
  }
  assert {
    condition     = [aws_lambda_function.function.s3_bucket, aws_lambda_function.function.s3_key] == ["packages", "arm64.zip"]
    error_message = "The URL is not understood."
  }
}

run "no_package_is_refused" {
  command         = plan
  expect_failures = [aws_lambda_function.function]
}

run "two_packages_are_refused" {
  command = plan
  variables {
    lambda_package_file = "main.tf"
    lambda_package_url  = "s3://packages/arm64.zip"
  }
  expect_failures = [aws_lambda_function.function]
}

run "a_file_that_is_another_is_refused" {
  command = plan
  variables {
    lambda_package_file         = "main.tf"
    lambda_package_base64sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
  }
  expect_failures = [aws_lambda_function.function]
}

run "subnets_without_security_groups_are_refused" {
  command = plan
  variables {
    lambda_package_file = "main.tf"
    subnet_ids          = ["subnet-1"]
  }
  expect_failures = [aws_lambda_function.function]
}

run "more_variables_than_lambda_takes_are_refused" {
  command = plan
  variables {
    lambda_package_file = "main.tf"
    environment         = { LONG = join("", [for n in range(512) : "8 bytes."]) }
  }
  expect_failures = [aws_lambda_function.function]
}

run "settings_become_variables" {
  variables {
    lambda_package_file = "main.tf"
    settings = {
      buffer_bytes    = 67108864
      gzip            = false
      endpoint        = "https://s3.example.com"
      filter_criteria = [{ data = { level = ["ERROR"] } }]
      nodes           = ["a", "b"]
      left_out        = null
    }
    secret_settings = { password = "swordfish" }
    environment     = { RUST_LOG = "debug", TZ = "Asia/Tokyo" }
  }
  assert {
    condition = output.environment == tomap({
      BAIKONUR_MODULE          = "kinesis-to-s3"
      BAIKONUR_BUFFER_BYTES    = "67108864"
      BAIKONUR_GZIP            = "false"
      BAIKONUR_ENDPOINT        = "https://s3.example.com"
      BAIKONUR_FILTER_CRITERIA = "[{\"data\":{\"level\":[\"ERROR\"]}}]"
      BAIKONUR_NODES           = "[\"a\",\"b\"]"
      LOG_S3_BUCKET            = "archive"
      RUST_LOG                 = "debug"
      TZ                       = "UTC"
    })
    error_message = jsonencode(output.environment)
  }
  assert {
    condition     = aws_lambda_function.function.environment[0].variables["BAIKONUR_PASSWORD"] == "swordfish"
    error_message = "The secret does not reach the function."
  }
  assert {
    condition     = issensitive(aws_lambda_function.function.environment[0].variables["BAIKONUR_PASSWORD"]) && !issensitive(aws_lambda_function.function.environment[0].variables["LOG_S3_BUCKET"])
    error_message = "A plan would show the secret, or hide the rest."
  }
}

run "everything_else_reaches_the_function" {
  variables {
    lambda_package_file            = "main.tf"
    layers                         = ["arn:aws:lambda:eu-west-1:123456789012:layer:certificates:1"]
    reserved_concurrent_executions = 5
    environment_kms_key_arn        = "arn:aws:kms:eu-west-1:123456789012:key/environment"
    subnet_ids                     = ["subnet-1", "subnet-2"]
    security_group_ids             = ["sg-1"]
    permissions_boundary_arn       = "arn:aws:iam::123456789012:policy/boundary"
    tracing_mode                   = "Active"
    log_kms_key_arn                = "arn:aws:kms:eu-west-1:123456789012:key/logs"
    log_format                     = "Text"
    dead_letter_arn                = "arn:aws:sns:eu-west-1:123456789012:failed"
    tags                           = { team = "logs" }
    statements                     = [{ Sid = "More", Effect = "Allow", Action = "s3:PutObject", Resource = "arn:aws:s3:::b/*" }]
  }
  assert {
    condition = (
      aws_lambda_function.function.layers == tolist(["arn:aws:lambda:eu-west-1:123456789012:layer:certificates:1"]) &&
      aws_lambda_function.function.reserved_concurrent_executions == 5 &&
      aws_lambda_function.function.kms_key_arn == "arn:aws:kms:eu-west-1:123456789012:key/environment" &&
      aws_lambda_function.function.vpc_config[0].subnet_ids == toset(["subnet-1", "subnet-2"]) &&
      aws_lambda_function.function.vpc_config[0].security_group_ids == toset(["sg-1"]) &&
      aws_lambda_function.function.dead_letter_config[0].target_arn == "arn:aws:sns:eu-west-1:123456789012:failed" &&
      aws_lambda_function.function.logging_config[0].application_log_level == null &&
      aws_iam_role.role.permissions_boundary == "arn:aws:iam::123456789012:policy/boundary" &&
      aws_cloudwatch_log_group.logs.kms_key_id == "arn:aws:kms:eu-west-1:123456789012:key/logs" &&
      alltrue([for tags in [aws_lambda_function.function.tags, aws_iam_role.role.tags, aws_cloudwatch_log_group.logs.tags] : tags == tomap({ team = "logs" })])
    )
    error_message = "The function is not as asked for."
  }
  assert {
    condition = [for statement in jsondecode(output.policy).Statement : [statement.Sid, statement.Resource]] == [
      ["WriteLogs", "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/logs:*"],
      ["More", "arn:aws:s3:::b/*"],
      ["SendDeadLetters", "arn:aws:sns:eu-west-1:123456789012:failed"],
      ["WriteTraces", "*"],
      ["LambdaAttachesToVpc", "*"],
      ["CodeDoesNot", "*"],
    ]
    error_message = output.policy
  }
}

run "alarms_watch_errors_throttles_and_the_iterator_age" {
  variables {
    lambda_package_file = "main.tf"
    alarms = {
      actions                   = ["arn:aws:sns:eu-west-1:123456789012:operators"]
      ok_actions                = ["arn:aws:sns:eu-west-1:123456789012:relief"]
      errors                    = 2
      throttles                 = 3
      iterator_age_milliseconds = 60000
      period_in_seconds         = 120
      evaluation_periods        = 4
    }
  }
  assert {
    condition = {
      for metric, alarm in aws_cloudwatch_metric_alarm.alarm : metric => [
        alarm.alarm_name, alarm.namespace, alarm.dimensions.FunctionName, alarm.statistic, alarm.threshold, alarm.period,
        alarm.evaluation_periods,
      ]
      } == {
      Errors      = ["logs-Errors", "AWS/Lambda", "logs", "Sum", 2, 120, 4]
      Throttles   = ["logs-Throttles", "AWS/Lambda", "logs", "Sum", 3, 120, 4]
      IteratorAge = ["logs-IteratorAge", "AWS/Lambda", "logs", "Maximum", 60000, 120, 4]
    }
    error_message = jsonencode(aws_cloudwatch_metric_alarm.alarm)
  }
  assert {
    condition = alltrue([
      for alarm in aws_cloudwatch_metric_alarm.alarm :
      alarm.alarm_actions == toset(["arn:aws:sns:eu-west-1:123456789012:operators"]) && alarm.ok_actions == toset(["arn:aws:sns:eu-west-1:123456789012:relief"])
    ])
    error_message = "Nobody is told."
  }
}
