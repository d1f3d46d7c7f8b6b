# What the module makes of its inputs, with the real provider's schema and no account: terraform test

mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name                = "logs"
  lambda_package_url  = "s3://packages/baikonur-arm64.zip"
  elasticsearch_host  = "search-logs.eu-west-1.es.amazonaws.com"
  elasticsearch_arn   = "arn:aws:es:eu-west-1:123456789012:domain/logs"
  schedule_expression = "cron(0 1 * * ? *)"
}

run "the_originals_inputs_do_what_they_did" {
  assert {
    condition = output.environment == tomap({
      BAIKONUR_MODULE            = "es-cleaner"
      TZ                         = "UTC"
      ES_HOST                    = "search-logs.eu-west-1.es.amazonaws.com"
      BAIKONUR_MAX_AGE_DAYS      = "60"
      BAIKONUR_DRY_RUN_ONLY      = "false"
      BAIKONUR_INDEX_NAME_PREFIX = "[\"*\"]"
      BAIKONUR_EXCLUDE           = "[\"*-reload\"]"
    })
    error_message = "environment: ${jsonencode(output.environment)}"
  }
  assert {
    condition = [for statement in jsondecode(output.policy).Statement : [statement.Action, statement.Resource]] == [
      [["logs:CreateLogStream", "logs:PutLogEvents"], "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/logs:*"],
      [["es:ESHttpDelete", "es:ESHttpGet", "es:ESHttpHead"], "arn:aws:es:eu-west-1:123456789012:domain/logs/*"],
    ]
    error_message = "policy: ${output.policy}"
  }
}

run "the_originals_texts_are_numbers_and_truth_values" {
  variables {
    max_age_days = "30"
    dry_run_only = "true"
  }
  assert {
    condition     = output.environment.BAIKONUR_MAX_AGE_DAYS == "30" && output.environment.BAIKONUR_DRY_RUN_ONLY == "true"
    error_message = "environment: ${jsonencode(output.environment)}"
  }
}

run "the_schedule_invokes_the_function" {
  variables {
    enable_schedule        = false
    maximum_retry_attempts = 0
  }
  assert {
    condition = (
      aws_cloudwatch_event_rule.rule.schedule_expression == "cron(0 1 * * ? *)" &&
      aws_cloudwatch_event_rule.rule.state == "DISABLED" &&
      aws_cloudwatch_event_target.target.arn == output.function_arn &&
      aws_lambda_permission.allow_cloudwatch_invocation.source_arn == output.rule_arn &&
      aws_lambda_permission.allow_cloudwatch_invocation.principal == "events.amazonaws.com" &&
      aws_lambda_function_event_invoke_config.retries.maximum_retry_attempts == 0
    )
    error_message = "The rule, its target, its permission or the retries are not as asked for."
  }
}

run "failed_runs_go_to_a_queue_and_alarms_have_no_iterator_age" {
  variables {
    dead_letter_arn = "arn:aws:sqs:eu-west-1:123456789012:failed"
    alarms          = { actions = ["arn:aws:sns:eu-west-1:123456789012:operators"] }
  }
  assert {
    condition = [for statement in jsondecode(output.policy).Statement : [statement.Action, statement.Resource] if statement.Sid == "SendDeadLetters"] == [
      ["sqs:SendMessage", "arn:aws:sqs:eu-west-1:123456789012:failed"],
    ]
    error_message = "policy: ${output.policy}"
  }
  assert {
    condition     = keys(output.alarm_arns) == ["Errors", "Throttles"]
    error_message = "alarms: ${jsonencode(output.alarm_arns)}"
  }
}

run "wrong_inputs_are_refused" {
  command = plan
  variables {
    elasticsearch_host     = ""
    elasticsearch_arn      = "arn:aws:s3:::logs"
    max_age_days           = 0
    index_name_prefix      = [""]
    exclude                = [" "]
    schedule_expression    = "0 1 * * *"
    maximum_retry_attempts = 3
    dead_letter_arn        = "arn:aws:sqs:eu-west-1:123456789012:failed.fifo"
    alarms                 = { actions = ["operators"] }
  }
  expect_failures = [
    var.elasticsearch_host, var.elasticsearch_arn, var.max_age_days, var.index_name_prefix, var.exclude,
    var.schedule_expression,
    var.maximum_retry_attempts, var.dead_letter_arn, var.alarms,
  ]
}
