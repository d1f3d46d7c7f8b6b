# What the module makes of its inputs, with the real provider's schema and no account: terraform test

mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name                 = "logs"
  lambda_package_url   = "s3://packages/baikonur-arm64.zip"
  kinesis_stream_arn   = "arn:aws:kinesis:eu-west-1:123456789012:stream/router"
  fluent_sink_endpoint = "10.20.30.40"
  fluent_tag           = "dev"
  subnet_ids           = ["subnet-1", "subnet-2"]
  security_group_ids   = ["sg-1"]
  failed_log_s3_bucket = "failed"
  failed_log_s3_prefix = "fluent"
}

run "the_originals_inputs_give_the_originals_variables" {
  assert {
    condition = output.environment == tomap({
      BAIKONUR_MODULE          = "kinesis-to-fluent"
      TZ                       = "UTC"
      LOG_ID_FIELD             = "log_id"
      LOG_TYPE_FIELD           = "log_type"
      LOG_TIMESTAMP_FIELD      = "time"
      LOG_TYPE_UNKNOWN_PREFIX  = "unknown"
      LOG_FLUENT_SINK_ENDPOINT = "10.20.30.40"
      LOG_FLUENT_TAG           = "dev"
      FAILED_LOG_S3_BUCKET     = "failed"
      FAILED_LOG_S3_PREFIX     = "fluent"
    })
    error_message = "environment: ${jsonencode(output.environment)}"
  }
}

run "lambda_attaches_the_function_to_the_vpc_and_its_code_cannot" {
  assert {
    condition = [for statement in jsondecode(output.policy).Statement : [statement.Effect, try(statement.Condition, null)] if can(regex("ec2:CreateNetworkInterface", jsonencode(statement.Action)))] == [
      ["Allow", null],
      ["Deny", { ArnEquals = { "lambda:SourceFunctionArn" = "arn:aws:lambda:eu-west-1:123456789012:function:logs" } }],
    ]
    error_message = "policy: ${output.policy}"
  }
}

run "a_receiver_outside_of_a_vpc_needs_none" {
  variables {
    subnet_ids           = []
    security_group_ids   = []
    fluent_sink_endpoint = "fluent://logs.example.com:24224"
  }
  assert {
    condition     = [for statement in jsondecode(output.policy).Statement : statement.Sid] == ["WriteLogs", "ReadStream", "KeepFailedRecords"]
    error_message = "policy: ${output.policy}"
  }
}

run "several_servers_and_a_tag_of_ones_own_are_settings" {
  variables {
    fluent_sink_endpoint = null
    fluent_tag           = null
    settings             = { servers = [{ destination = "fluents://a.example.com:24224" }], tag = "app.{host}" }
    secret_settings      = { shared_key = "swordfish" }
  }
  assert {
    condition = (
      { for key, value in output.environment : key => value if can(regex("FLUENT|SERVERS|_TAG", key)) } == {
        BAIKONUR_SERVERS = "[{\"destination\":\"fluents://a.example.com:24224\"}]"
        BAIKONUR_TAG     = "app.{host}"
      }
    )
    error_message = jsonencode(output.environment)
  }
}

run "wrong_inputs_are_refused" {
  command = plan
  variables {
    kinesis_stream_arn   = "arn:aws:sqs:eu-west-1:123456789012:queue"
    fluent_sink_endpoint = "two words"
    fluent_tag           = ""
    failed_log_s3_bucket = "x"
    failed_log_s3_prefix = "s3://failed"
  }
  expect_failures = [
    var.kinesis_stream_arn, var.fluent_sink_endpoint, var.fluent_tag, var.failed_log_s3_bucket,
    var.failed_log_s3_prefix,
  ]
}
