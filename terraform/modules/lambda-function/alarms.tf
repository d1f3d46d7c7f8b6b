# Alarms on what Lambda counts of the function.

locals {
  alarms = var.alarms == null ? {} : {
    for metric, of in {
      Errors = {
        threshold   = var.alarms.errors
        statistic   = "Sum"
        description = "${var.name} fails. Its batches are tried again; its log group says why."
      }
      Throttles = {
        threshold   = var.alarms.throttles
        statistic   = "Sum"
        description = "${var.name} is throttled: the account or its reserved concurrency has no room."
      }
      IteratorAge = {
        threshold   = var.alarms.iterator_age_milliseconds
        statistic   = "Maximum"
        description = "${var.name} is behind its stream. What is older than the stream's retention period is lost."
      }
    } : metric => of if metric != "IteratorAge" || var.reads_a_stream
  }
}

resource "aws_cloudwatch_metric_alarm" "alarm" {
  for_each = local.alarms

  alarm_name        = "${var.name}-${each.key}"
  alarm_description = each.value.description

  namespace   = "AWS/Lambda"
  metric_name = each.key
  dimensions  = { FunctionName = aws_lambda_function.function.function_name }

  statistic           = each.value.statistic
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = each.value.threshold
  period              = var.alarms.period_in_seconds
  evaluation_periods  = var.alarms.evaluation_periods
  treat_missing_data  = "notBreaching"

  alarm_actions = var.alarms.actions
  ok_actions    = var.alarms.ok_actions
  tags          = var.tags
}
