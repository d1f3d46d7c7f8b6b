# The role: what the module needs, each on the ARN that it needs it on.

locals {
  in_vpc = length(var.subnet_ids) > 0

  logs_statement = {
    Sid      = "WriteLogs"
    Effect   = "Allow"
    Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    Resource = "${aws_cloudwatch_log_group.logs.arn}:*"
  }

  # X-Ray knows no ARNs for these.
  tracing_statements = [for mode in [var.tracing_mode] : {
    Sid      = "WriteTraces"
    Effect   = "Allow"
    Action   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
    Resource = "*"
  } if mode == "Active"]

  # Lambda makes the interfaces of a function in a VPC with the function's role, and asks for these on all resources. The
  # function's own code is denied them.
  network_actions = [
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
  ]
  network_statements = [for in_vpc in [local.in_vpc] : {
    Sid      = "LambdaAttachesToVpc"
    Effect   = "Allow"
    Action   = local.network_actions
    Resource = "*"
  } if in_vpc]
  network_denials = [for in_vpc in [local.in_vpc] : {
    Sid       = "CodeDoesNot"
    Effect    = "Deny"
    Action    = local.network_actions
    Resource  = "*"
    Condition = { ArnEquals = { "lambda:SourceFunctionArn" = local.function_arn } }
  } if in_vpc]

  dead_letter_actions = { sqs = "sqs:SendMessage", sns = "sns:Publish" }
  dead_letter_statements = [for arn in var.dead_letter_arn[*] : {
    Sid      = "SendDeadLetters"
    Effect   = "Allow"
    Action   = local.dead_letter_actions[split(":", arn)[2]]
    Resource = arn
  }]
}

resource "aws_iam_role" "role" {
  # The name that the originals give it.
  name                 = "lambda_${var.name}"
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "policy" {
  name = "lambda_${var.name}"
  role = aws_iam_role.role.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [local.logs_statement],
      var.statements,
      local.dead_letter_statements,
      local.tracing_statements,
      local.network_statements,
      local.network_denials,
    )
  })
}
