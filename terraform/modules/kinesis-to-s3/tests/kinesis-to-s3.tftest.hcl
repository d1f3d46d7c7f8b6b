# What the module makes of its inputs, with the real provider's schema and no account: terraform test

mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name               = "logs"
  lambda_package_url = "s3://packages/baikonur-arm64.zip"
  kinesis_stream_arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/router"
  log_bucket         = "archive"
  log_path_prefix    = "/logs/"
}

run "the_originals_inputs_give_the_originals_variables_and_a_failed_store_beside_the_logs" {
  assert {
    condition = output.environment == tomap({
      BAIKONUR_MODULE         = "kinesis-to-s3"
      TZ                      = "UTC"
      LOG_ID_FIELD            = "log_id"
      LOG_TYPE_FIELD          = "log_type"
      LOG_TIMESTAMP_FIELD     = "time"
      LOG_TYPE_UNKNOWN_PREFIX = "unknown"
      LOG_S3_BUCKET           = "archive"
      LOG_S3_PREFIX           = "logs"
      FAILED_LOG_S3_BUCKET    = "archive"
      FAILED_LOG_S3_PREFIX    = "logs-failed"
    })
    error_message = "environment: ${jsonencode(output.environment)}"
  }
  assert {
    condition = [for statement in jsondecode(output.policy).Statement : [statement.Action, statement.Resource] if statement.Sid != "WriteLogs" && statement.Sid != "ReadStream"] == [
      [["s3:GetObject", "s3:PutObject"], "arn:aws:s3:::archive/logs/*"],
      ["s3:PutObject", "arn:aws:s3:::archive/logs-failed/*"],
    ]
    error_message = "policy: ${output.policy}"
  }
}

run "without_a_prefix_the_bucket_has_the_logs" {
  variables {
    log_path_prefix        = ""
    log_bucket_kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/logs"
    failed_log_s3_bucket   = "failed"
    failed_log_s3_prefix   = "to-s3"
    settings               = { tags = { team = "logs" } }
  }
  assert {
    condition = [for statement in jsondecode(output.policy).Statement : [statement.Action, statement.Resource] if statement.Sid != "WriteLogs" && statement.Sid != "ReadStream"] == [
      [["s3:GetObject", "s3:PutObject", "s3:PutObjectTagging"], "arn:aws:s3:::archive/*"],
      [["kms:Decrypt", "kms:GenerateDataKey"], "arn:aws:kms:eu-west-1:123456789012:key/logs"],
      ["s3:PutObject", "arn:aws:s3:::failed/to-s3/*"],
    ]
    error_message = "policy: ${output.policy}"
  }
  assert {
    condition     = !contains(keys(output.environment), "LOG_S3_PREFIX")
    error_message = "An empty prefix is none."
  }
}

run "wrong_inputs_are_refused" {
  command = plan
  variables {
    kinesis_stream_arn   = "router"
    log_bucket           = "s3://archive"
    log_path_prefix      = "s3://archive/logs"
    failed_log_s3_bucket = "UPPER"
    failed_log_s3_prefix = "s3://failed"
  }
  expect_failures = [
    var.kinesis_stream_arn, var.log_bucket, var.log_path_prefix, var.failed_log_s3_bucket, var.failed_log_s3_prefix,
  ]
}
