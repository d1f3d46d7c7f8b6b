# What the module makes of its inputs, with the real provider's schema and no account: terraform test

mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name                 = "logs"
  lambda_package_url   = "s3://packages/baikonur-arm64.zip"
  source_stream_name   = "router"
  target_stream_name   = "errors"
  failed_log_s3_bucket = "failed"
  failed_log_s3_prefix = "logs/"
}

run "the_originals_inputs_give_the_originals_variables" {
  assert {
    condition = output.environment == tomap({
      BAIKONUR_MODULE         = "kinesis-forward"
      TZ                      = "UTC"
      LOG_ID_FIELD            = "log_id"
      LOG_TYPE_FIELD          = "log_type"
      LOG_TIMESTAMP_FIELD     = "time"
      LOG_TYPE_UNKNOWN_PREFIX = "unknown"
      FAILED_LOG_S3_BUCKET    = "failed"
      FAILED_LOG_S3_PREFIX    = "logs"
      TARGET_STREAM_NAME      = "errors"
      KINESIS_MAX_RETRIES     = "3"
    })
    error_message = "environment: ${jsonencode(output.environment)}"
  }
}

run "the_role_may_read_one_stream_and_write_the_other_and_nothing_else" {
  assert {
    condition = jsondecode(output.policy).Statement == [
      {
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/logs:*"
      },
      {
        Sid    = "ReadStream"
        Effect = "Allow"
        Action = [
          "kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:GetRecords", "kinesis:GetShardIterator",
          "kinesis:ListShards",
        ]
        Resource = "arn:aws:kinesis:eu-west-1:123456789012:stream/router"
      },
      {
        Sid      = "PutIntoTarget"
        Effect   = "Allow"
        Action   = "kinesis:PutRecords"
        Resource = ["arn:aws:kinesis:eu-west-1:123456789012:stream/errors"]
      },
      {
        Sid      = "KeepFailedRecords"
        Effect   = "Allow"
        Action   = "s3:PutObject"
        Resource = "arn:aws:s3:::failed/logs/*"
      },
    ]
    error_message = "policy: ${output.policy}"
  }
}

run "keys_are_named_where_they_are_used" {
  variables {
    stream_kms_key_arn        = "arn:aws:kms:eu-west-1:123456789012:key/source"
    target_stream_kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/target"
    failed_log_kms_key_arn    = "arn:aws:kms:eu-west-1:123456789012:key/failed"
  }
  assert {
    condition = {
      for statement in jsondecode(output.policy).Statement : statement.Sid => [statement.Action, statement.Resource]
      if can(regex("arn:aws:kms:", jsonencode(statement.Resource)))
      } == {
      DecryptStream        = ["kms:Decrypt", "arn:aws:kms:eu-west-1:123456789012:key/source"]
      EncryptTarget        = ["kms:GenerateDataKey", "arn:aws:kms:eu-west-1:123456789012:key/target"]
      EncryptFailedRecords = [["kms:Decrypt", "kms:GenerateDataKey"], "arn:aws:kms:eu-west-1:123456789012:key/failed"]
    }
    error_message = "policy: ${output.policy}"
  }
}

run "a_target_may_be_elsewhere" {
  variables {
    settings = { target_region = "us-east-1", target_role_arn = "arn:aws:iam::210987654321:role/writer" }
  }
  assert {
    condition = [for statement in jsondecode(output.policy).Statement : [statement.Action, statement.Resource] if contains(["PutIntoTarget", "TakeTargetRole"], statement.Sid)] == [
      ["sts:AssumeRole", ["arn:aws:iam::210987654321:role/writer"]],
    ]
    error_message = output.policy
  }
}

run "several_targets_are_a_setting_and_a_right_for_each" {
  variables {
    target_stream_name = null
    targets = [
      { target_stream_name = "auth", log_type_field_whitelist = ["auth*"] },
      { target_stream_name = "errors", target_region = "us-east-1" },
      { target_stream_name = "audit", target_role_arn = "arn:aws:iam::210987654321:role/writer" },
    ]
  }
  assert {
    condition = [for statement in jsondecode(output.policy).Statement : [statement.Action, statement.Resource] if contains(["PutIntoTarget", "TakeTargetRole"], statement.Sid)] == [
      ["kinesis:PutRecords", ["arn:aws:kinesis:eu-west-1:123456789012:stream/auth", "arn:aws:kinesis:us-east-1:123456789012:stream/errors"]],
      ["sts:AssumeRole", ["arn:aws:iam::210987654321:role/writer"]],
    ]
    error_message = output.policy
  }
  assert {
    condition     = jsondecode(output.environment.BAIKONUR_TARGETS)[0] == { target_stream_name = "auth", log_type_field_whitelist = ["auth*"] } && !contains(keys(output.environment), "TARGET_STREAM_NAME")
    error_message = jsonencode(output.environment)
  }
}

run "one_target_and_several_are_refused" {
  command = plan
  variables {
    targets = [{ target_stream_name = "auth" }]
  }
  expect_failures = [output.target_stream_arns]
}

run "no_target_is_refused" {
  command = plan
  variables {
    target_stream_name = null
  }
  expect_failures = [output.target_stream_arns]
}

run "wrong_inputs_are_refused" {
  command = plan
  variables {
    source_stream_name   = "arn:aws:kinesis:eu-west-1:123456789012:stream/router"
    target_stream_name   = "two words"
    targets              = [{ name = "errors" }]
    kinesis_max_retries  = -1
    failed_log_s3_bucket = "s3://failed"
    failed_log_s3_prefix = "s3://failed/logs"
  }
  expect_failures = [
    var.source_stream_name, var.target_stream_name, var.targets, var.kinesis_max_retries, var.failed_log_s3_bucket,
    var.failed_log_s3_prefix,
  ]
}
