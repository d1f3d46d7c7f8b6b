# A stand-in for the module that the originals' modules take their role from.

variable "name" {
  type = string
}

resource "aws_iam_role" "iam_role" {
  name = "lambda_${var.name}"

  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "lambda.amazonaws.com" } }]
  })
}

resource "aws_iam_role_policy" "role_policy" {
  name = "lambda_${var.name}"
  role = aws_iam_role.iam_role.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = ["logs:PutLogEvents"], Resource = ["arn:aws:logs:*:*:*"] }]
  })
}

resource "aws_iam_instance_profile" "instance_role" {
  name = "lambda_${var.name}"
  role = aws_iam_role.iam_role.name
}

output "arn" {
  value = aws_iam_role.iam_role.arn
}

output "name" {
  value = aws_iam_role.iam_role.name
}
