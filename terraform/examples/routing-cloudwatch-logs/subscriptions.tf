# What feeds the router: subscription filters of CloudWatch Logs, and the role with which CloudWatch Logs puts records.

data "aws_partition" "current" {}

data "aws_caller_identity" "current" {}

resource "aws_iam_role" "logs_to_router" {
  name = "${var.name}-logs-to-router"

  # Only for log groups of this account and region: no other account may have CloudWatch Logs act with this role.
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "logs.amazonaws.com" }
      Condition = {
        ArnLike = {
          "aws:SourceArn" = "arn:${data.aws_partition.current.partition}:logs:${var.region}:${data.aws_caller_identity.current.account_id}:*"
        }
      }
    }]
  })
}

resource "aws_iam_role_policy" "logs_to_router" {
  name = "put-into-router"
  role = aws_iam_role.logs_to_router.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "kinesis:PutRecord"
      Resource = aws_kinesis_stream.router.arn
    }]
  })
}

resource "aws_cloudwatch_log_subscription_filter" "router" {
  for_each = var.log_groups

  name            = aws_kinesis_stream.router.name
  log_group_name  = each.key
  filter_pattern  = each.value
  destination_arn = aws_kinesis_stream.router.arn
  role_arn        = aws_iam_role.logs_to_router.arn
  # The other choice, ByLogStream, sends all events of a log stream to one shard, which a busy one can fill.
  distribution = "Random"

  # CloudWatch Logs puts a test record when the filter is made.
  depends_on = [aws_iam_role_policy.logs_to_router]
}
