# The inputs of function-variables.tf and mapping-variables.tf, which all modules have: that they arrive, and that wrong
# ones are refused.

mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name                 = "logs"
  lambda_package_url   = "s3://packages/baikonur-arm64.zip"
  source_stream_name   = "router"
  target_stream_name   = "errors"
  failed_log_s3_bucket = "failed"
  failed_log_s3_prefix = ""
}

run "inputs_reach_the_function_and_the_mapping" {
  variables {
    handler                  = "main.handler"
    timezone                 = "Asia/Tokyo"
    log_id_field             = "id"
    log_type_field           = "meta.type"
    log_timestamp_field      = "/meta/time"
    log_type_unknown_prefix  = "odd"
    log_type_field_whitelist = ["apache_*", "!apache_debug"]
    settings                 = { filter_criteria = [{ level = ["ERROR"] }] }
    environment              = { RUST_LOG = "debug" }
    enhanced_fan_out         = true
    tracing_mode             = "Active"
    alarms                   = { actions = ["arn:aws:sns:eu-west-1:123456789012:operators"] }
  }
  assert {
    condition = output.environment == tomap({
      BAIKONUR_MODULE          = "kinesis-forward"
      BAIKONUR_FILTER_CRITERIA = "[{\"level\":[\"ERROR\"]}]"
      RUST_LOG                 = "debug"
      TZ                       = "Asia/Tokyo"
      LOG_ID_FIELD             = "id"
      LOG_TYPE_FIELD           = "meta.type"
      LOG_TIMESTAMP_FIELD      = "/meta/time"
      LOG_TYPE_UNKNOWN_PREFIX  = "odd"
      LOG_TYPE_WHITELIST       = "apache_*,!apache_debug"
      FAILED_LOG_S3_BUCKET     = "failed"
      TARGET_STREAM_NAME       = "errors"
      KINESIS_MAX_RETRIES      = "3"
    })
    error_message = jsonencode(output.environment)
  }
  assert {
    condition     = [for statement in jsondecode(output.policy).Statement : statement.Sid] == ["WriteLogs", "ReadStream", "SubscribeToStream", "PutIntoTarget", "KeepFailedRecords", "WriteTraces"]
    error_message = output.policy
  }
  assert {
    condition     = [for statement in jsondecode(output.policy).Statement : statement.Resource if statement.Sid == "KeepFailedRecords"] == ["arn:aws:s3:::failed/*"]
    error_message = output.policy
  }
  assert {
    condition     = keys(output.alarm_arns) == ["Errors", "IteratorAge", "Throttles"] && output.consumer_arn != null
    error_message = jsonencode(output.alarm_arns)
  }
}

run "wrong_inputs_of_the_function_are_refused" {
  command = plan
  variables {
    name                           = "two words"
    lambda_package_url             = "https://example.com/package.zip"
    lambda_package_file            = "no/such/file.zip"
    lambda_package_base64sha256    = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    handler                        = "two words"
    runtime                        = "python3.7"
    architectures                  = ["arm64", "x86_64"]
    memory                         = 100
    timeout                        = 901
    reserved_concurrent_executions = -2
    timezone                       = ""
    settings                       = { batch_size = 1 }
    secret_settings                = { Password = "x" }
    environment                    = { "1X" = "x" }
    tracing_mode                   = "Off"
    log_retention_in_days          = 2
    log_format                     = "XML"
    application_log_level          = "LOUD"
    system_log_level               = "TRACE"
  }
  expect_failures = [
    var.name, var.lambda_package_url, var.lambda_package_file, var.lambda_package_base64sha256, var.handler, var.runtime,
    var.architectures, var.memory, var.timeout, var.reserved_concurrent_executions, var.timezone, var.settings,
    var.secret_settings, var.environment, var.tracing_mode, var.log_retention_in_days, var.log_format,
    var.application_log_level, var.system_log_level,
  ]
}

run "wrong_inputs_of_the_mapping_are_refused" {
  command = plan
  variables {
    batch_size                         = 10001
    maximum_batching_window_in_seconds = 301
    parallelization_factor             = 11
    starting_position                  = "OLDEST"
    starting_position_timestamp        = "yesterday"
    maximum_retry_attempts             = -2
    maximum_record_age_in_seconds      = 59
    on_failure_destination_arn         = "arn:aws:sqs:eu-west-1:123456789012:failed.fifo"
    filter_criteria                    = ["not JSON"]
    log_id_field                       = ""
    log_type_field                     = ""
    log_timestamp_field                = ""
    log_type_unknown_prefix            = "a/../b"
    log_type_field_whitelist           = ["a,b"]
    alarms                             = { actions = [], period_in_seconds = 45 }
  }
  expect_failures = [
    var.batch_size, var.maximum_batching_window_in_seconds, var.parallelization_factor, var.starting_position,
    var.starting_position_timestamp, var.maximum_retry_attempts, var.maximum_record_age_in_seconds,
    var.on_failure_destination_arn, var.filter_criteria, var.log_id_field, var.log_type_field, var.log_timestamp_field,
    var.log_type_unknown_prefix, var.log_type_field_whitelist, var.alarms,
  ]
}

run "other_wrong_inputs_are_refused_too" {
  command = plan
  variables {
    architectures              = []
    settings                   = { failed_store = "s3://elsewhere" }
    layers                     = [for n in range(6) : "arn:aws:lambda:eu-west-1:123456789012:layer:l:1"]
    on_failure_destination_arn = "arn:aws:lambda:eu-west-1:123456789012:function:f"
    filter_criteria            = [for n in range(11) : "{}"]
    log_type_unknown_prefix    = ""
    alarms                     = { actions = ["operators"] }
    batch_size                 = 1.5
  }
  expect_failures = [
    var.architectures, var.settings, var.layers, var.on_failure_destination_arn, var.filter_criteria, var.log_type_unknown_prefix,
    var.alarms, var.batch_size,
  ]
}
